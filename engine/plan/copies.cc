#include "engine/plan/copies.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "formats/storage/scale_tensor.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

// The format that a Linear's own bytes make.
const NumberFormat& own_format(const StoredLinear& stored) {
  if (stored.format != nullptr) return *stored.format;
  return stored.storage != nullptr ? require_number_format(stored.storage->copy_format(stored)) : kept_format();
}

// The scales that Linears served as one matrix should share: of the whole weight, and of the input.
constexpr auto weight_scales =
    std::to_array<std::string_view>({"weight_scale_2", "weight_scale_inv", "weight_scale", "scale"});
constexpr auto input_scales = std::to_array<std::string_view>({"activation_scale", "input_scale"});

// The first of these scales that is one number; 0 where there is none.
float read_scale(const OpenModel& model, const LinearSpec& linear, std::span<const std::string_view> suffixes) {
  for (const std::string_view suffix : suffixes) {
    const TensorInfo* const tensor = model.checkpoint.find(fmt::format("{}.{}", linear.module, suffix));
    if (tensor == nullptr || element_count(tensor->shape) != 1u) continue;
    std::array<std::byte, 8> bytes{};
    const std::span<std::byte> read = std::span(bytes).first(tensor->bytes);
    model.checkpoint.read(*tensor, read);
    return scale_values({std::string(suffix), tensor->dtype, tensor->shape}, read, linear.module).at(0);
  }
  return 0;
}

// The first Linear whose scale is not that of a Linear it is served with; nullptr when there is none.
const LinearSpec* odd_scale(const OpenModel& model, std::span<const LinearSpec* const> unit,
                            std::span<const std::string_view> suffixes) {
  std::map<std::string_view, float> scales;
  for (const LinearSpec* const linear : unit) {
    if (linear->fused_module.empty()) continue;
    const float scale = read_scale(model, *linear, suffixes);
    if (scales.emplace(linear->fused_module, scale).first->second != scale) return linear;
  }
  return nullptr;
}

std::optional<std::string> refusal(const StoredLinear& stored, const NumberFormat& format) {
  if (stored.storage == nullptr) return std::nullopt;
  if (stored.storage->copy_refusal != nullptr)
    if (std::optional<std::string> why = stored.storage->copy_refusal(stored)) return why;
  return format.refusal(stored.weight);
}

bool is_expert_unit(const OpenModel& model, std::span<const LinearSpec* const> unit) {
  return std::ranges::any_of(model.spec->layers, [&](const LayerSpec& layer) {
    const std::vector<const LinearSpec*> expert = first_expert(layer);
    return !expert.empty() && std::ranges::find(unit, expert.front()) != unit.end();
  });
}

}  // namespace

bool Copies::expert_scales_differ() {
  if (expert_scales_differ_) return *expert_scales_differ_;
  expert_scales_differ_ = std::ranges::any_of(model_.spec->layers, [&](const LayerSpec& layer) {
    return odd_scale(model_, expert_linears(layer), weight_scales) != nullptr;
  });
  return *expert_scales_differ_;
}

UnitCopy Copies::of(std::span<const LinearSpec* const> unit, const NumberFormat& asked) {
  const StoredLinear& first = model_.linear(*unit[0]).stored;
  const NumberFormat& format = own_format(first);
  for (const LinearSpec* const linear : unit) {
    const StoredLinear& stored = model_.linear(*linear).stored;
    if (&own_format(stored) != &format)
      return {nullptr, linear,
              fmt::format("it is stored as {}, but {} with {}", stored.text(), unit[0]->module, first.text())};
    if (const std::optional<std::string> why = refusal(stored, format))
      return {nullptr, linear, fmt::format("{} has no servable form of {}: {}", format.name, stored.text(), *why)};
  }
  if (first.storage == nullptr) return {&format};
  if (const LinearSpec* const odd = odd_scale(model_, unit, input_scales))
    return {nullptr, odd, "its input scale is not that of the Linears it is served with"};
  if (format.shared_scale != nullptr) {
    const LinearSpec* const odd = odd_scale(model_, unit, weight_scales);
    if (odd == nullptr) return {&format};
    return {nullptr, odd, "its global scale is not that of the Linears it is served with"};
  }
  const NumberFormat* const channels = format.channel_form;
  if (channels == nullptr) return {&format};
  if (&asked == channels) return {channels};
  const LinearSpec* odd = odd_scale(model_, unit, weight_scales);
  if (odd == nullptr && is_expert_unit(model_, unit) && expert_scales_differ()) odd = unit[0];
  if (odd == nullptr) return {&format};
  return {channels, odd,
          fmt::format("copied as {} with its scale in every row: the Linears it is served with have other scales",
                      channels->name)};
}

}  // namespace strata
