// W4A16: symmetric 4-bit integers in groups of 128, scale = amax / 7.5 in BF16.
#include <cstring>
#include <limits>

#include "formats/kernels/convert.h"
#include "formats/kernels/int4.h"
#include "formats/kernels/minifloat.h"
#include "formats/number_format.h"
#include "formats/row_blocks.h"
#include "formats/stored_fields.h"

namespace strata::number {
namespace {

constexpr std::int64_t group = kernels::int4_group;

std::vector<Field> fields(const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
  return {{"weight_packed", Dtype::i32, {weight[0], weight[1] / 8}},
          {"weight_scale", Dtype::bf16, {weight[0], weight[1] / group}},
          {"weight_shape", Dtype::i64, {2}}};
}

// The scale as it is stored, so that codes fit what a reader multiplies with. Zero groups divide by the
// epsilon of float32 as in compressed-tensors (exact in BF16).
float stored_scale(float amax) {
  const float scale = round_to_bf16(amax / 7.5f);
  return scale == 0 ? std::numeric_limits<float>::epsilon() : scale;
}

void encode(const WeightView& weight, const EncodeContext& /*context*/, std::span<const std::span<std::byte>> out) {
  const std::int64_t shape[2] = {weight.rows, weight.cols};
  std::memcpy(out[2].data(), shape, sizeof shape);
  const std::int64_t groups = weight.cols / group;
  auto* const packed = reinterpret_cast<std::uint8_t*>(out[0].data());
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    std::vector<float> scales(static_cast<std::size_t>(groups));
    std::vector<std::uint16_t> halves(scales.size());
    kernels::group_amax(values, groups, group, scales.data());
    for (float& scale : scales) scale = stored_scale(scale);
    kernels::narrow_bf16(scales.data(), groups, halves.data());
    std::memcpy(out[1].data() + row * groups * 2, halves.data(), halves.size() * 2);
    kernels::int4_encode(values, weight.cols, group, scales.data(), packed + row * (weight.cols / 2));
  });
}

void decode(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& weight,
            std::span<float> out) {
  const StoredFields all(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1], groups = cols / group;
  const auto packed = all.raw("weight_packed", Dtype::i32, rows * (cols / 8));
  const std::vector<float> scales = all.floats("weight_scale", rows * groups);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(packed.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    kernels::int4_decode(codes + first * (cols / 2), scales.data() + first * groups, (end - first) * cols, group,
                         out.data() + first * cols);
  });
}

}  // namespace

extern const NumberFormat w4a16{
    .name = "W4A16",
    .summary = "4-bit integer weights, BF16 scale per 128, activations untouched",
    .bits_per_weight = 4.125,
    .calibrated_input = false,
    .quantizes_input = false,
    .fields = fields,
    .refusal = [](const Shape& weight) { return group_refusal(weight, group); },
    .encode = encode,
    .decode = decode,
    .quantize_input = nullptr,
    .input_scale_suffix = "",
    .config_group = R"({"format": "pack-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 128,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .serving = {.vllm = "Marlin (Ampere on)", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
};

}  // namespace strata::number
