// FP8 with one scale for the whole weight, and one for the input where the checkpoint quantizes it statically:
// quant_method fp8 without weight_block_size (Mistral), ModelOpt's FP8. weight = code * scale.
#include "formats/kernels/fp8.h"
#include "formats/storage/scale_tensor.h"
#include "formats/weight/row_blocks.h"

namespace strata::storage {
namespace {

constexpr std::initializer_list<Dtype> floats = {Dtype::f32, Dtype::bf16, Dtype::f16};

std::string_view input_suffix(const StoredLinear& linear) {
  for (const std::string_view suffix : {"activation_scale", "input_scale"})
    if (linear.field(suffix) != nullptr) return suffix;
  return {};
}

StoredPart scalar(std::string_view suffix) {
  return {.field = {std::string(suffix), Dtype::f32, {}}, .also = floats, .scalar = true};
}

std::vector<StoredPart> parts(const Stem& stem) {
  const std::string_view scales = fp8_scales(stem)->name;
  std::vector<StoredPart> all = {{.field = {"weight", Dtype::f8_e4m3, stem.weight}},
                                 scalar(scales.substr(stem.module.size() + 1))};
  for (const std::string_view suffix : {"activation_scale", "input_scale"})
    if (stem.tensor(suffix) != nullptr) {
      all.push_back(scalar(suffix));
      break;  // a second one is claimed by nobody
    }
  return all;
}

void decode(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out) {
  const std::string_view suffix = fp8_scales_suffix(linear);
  const float scale = scale_values(*linear.field(suffix), bytes_of(linear, bytes, suffix), linear.module).at(0);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(bytes_of(linear, bytes, "weight").data());
  const std::int64_t cols = linear.weight[1];
  for_row_blocks(linear.weight[0], cols, [&](std::int64_t first, std::int64_t end) {
    kernels::fp8_decode(codes + first * cols, scale, (end - first) * cols, out.data() + first * cols);
  });
}

std::string_view copy_format(const StoredLinear& linear) {
  return input_suffix(linear).empty() ? "FP8_DYNAMIC" : "FP8_SOURCE_STATIC";
}

std::vector<CopiedField> copy(const StoredLinear& linear, std::string_view format) {
  const bool rows = format == "FP8_DYNAMIC" || format == "FP8_SOURCE_STATIC_CHANNEL";
  std::vector<CopiedField> fields = {
      {.field = {"weight", Dtype::f8_e4m3, linear.weight}, .from = "weight"},
      {.field = {"weight_scale", Dtype::f32, rows ? Shape{linear.weight[0], 1} : Shape{1}},
       .from = std::string(fp8_scales_suffix(linear)),
       .step = rows ? CopyStep::fill : CopyStep::widen}};
  if (const std::string_view input = input_suffix(linear); !input.empty())
    fields.push_back({.field = {"input_scale", Dtype::f32, {1}}, .from = std::string(input), .step = CopyStep::widen});
  return fields;
}

}  // namespace

extern const Storage fp8_tensor{
    .name = "FP8 with a scale per tensor",
    .recognizes = [](const Stem& stem) { return fp8_scales_of(stem) == Fp8Scales::tensor; },
    .parts = parts,
    .decode = decode,
    .copy_format = copy_format,
    .copy = copy,
    .inputs = [](const StoredLinear& linear) -> std::string_view {
      return input_suffix(linear).empty() ? "dynamic activations" : "static activations";
    },
};

}  // namespace strata::storage
