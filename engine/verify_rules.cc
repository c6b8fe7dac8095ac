#include "engine/verify_rules.h"

#include <algorithm>
#include <array>

#include "base/buffer.h"

namespace strata {

std::span<const VerifyRule> verify_rules() {
  static constexpr auto table = std::to_array<VerifyRule>({
      {"leftovers", false, rule::leftovers},
      {"index-total", false, rule::index_total},
      {"claims", false, rule::claims},
      {"tied-head", false, rule::tied_head},
      {"field-dtype", false, rule::field_dtype},
      {"weight-shape", false, rule::weight_shape},
      {"global-scale", false, rule::global_scales},
      {"scale-range", false, rule::scale_range},
      {"codes", false, rule::codes},
      {"fused-format", false, rule::fused_format},
      {"fused-scale", false, rule::fused_scale},
      {"input-scale", false, rule::input_scale},
      {"expert-format", false, rule::expert_format},
      {"coverage", true, rule::coverage},
      {"kept-bytes", true, rule::kept_bytes},
      {"config-kept", true, rule::config_kept},
      {"sidecars", true, rule::sidecars},
      {"weight-error", true, rule::weight_error},
  });
  return table;
}

const TensorInfo* VerifyContext::field(const LinearSpec& linear, const Field& wanted) const {
  const TensorInfo* const tensor = output.checkpoint.find(linear.module + "." + wanted.suffix);
  return tensor != nullptr && tensor->shape == wanted.shape ? tensor : nullptr;
}

std::optional<float> VerifyContext::scalar(const LinearSpec& linear, std::string_view suffix) const {
  const TensorInfo* const tensor = output.checkpoint.find(fmt::format("{}.{}", linear.module, suffix));
  if (tensor == nullptr || tensor->dtype != Dtype::f32 || tensor->bytes != sizeof(float)) return std::nullopt;
  float value = 0;
  output.checkpoint.read(*tensor, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

VerifyContext make_verify_context(const OpenModel& output, const Checkpoint* source, const StopFlag* stop) {
  VerifyContext context{.output = output, .source = source, .stop = stop};
  for (const LayerSpec& layer : output.spec.layers) context.layers.push_back(linears(layer));
  if (!output.spec.tied) context.layers.push_back({&output.spec.head});
  for (const auto& layer : context.layers)
    for (const LinearSpec* linear : layer) {
      const NumberFormat* const format = context.format(*linear);
      if (format == nullptr) {
        context.dense.emplace(linear->module + ".weight", linear);
        continue;
      }
      for (const Field& field : format->fields({linear->out, linear->in}, Dtype::bf16, ScaleRule::minmax))
        context.fields.emplace(linear->module + "." + field.suffix, linear);
    }
  return context;
}

Findings::~Findings() {
  if (count_ > most)
    report_.failures.push_back({rule_, "and more", fmt::format("{} further findings of this rule", count_ - most)});
}

void read_pieces(const Checkpoint& checkpoint, const TensorInfo& tensor, const StopFlag* stop,
                 const std::function<bool(std::span<const std::byte>, std::uint64_t)>& part) {
  constexpr std::uint64_t most = 8u << 20;
  Buffer buffer(std::min(most, tensor.bytes));
  for (std::uint64_t at = 0; at < tensor.bytes; at += most) {
    check_interrupt(stop);
    const std::span<std::byte> piece = buffer.bytes().first(std::min(most, tensor.bytes - at));
    checkpoint.read(tensor, piece, at);
    if (!part(piece, at)) return;
  }
}

}  // namespace strata
