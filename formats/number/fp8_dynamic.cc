// FP8_DYNAMIC: E4M3 weights with a BF16 scale a row, activations quantized per token while serving.
#include <bit>
#include <cstring>
#include <limits>

#include "formats/kernels/convert.h"
#include "formats/kernels/fp8.h"
#include "formats/kernels/minifloat.h"
#include "formats/number_format.h"
#include "formats/row_blocks.h"
#include "formats/stored_fields.h"

namespace strata::number {
namespace {

std::vector<Field> fields(const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
  return {{"weight", Dtype::f8_e4m3, weight}, {"weight_scale", Dtype::bf16, {weight[0], 1}}};
}

// As it is stored; rows of zeros take the epsilon of float32 as in compressed-tensors (exact in BF16).
float stored_scale(float amax) {
  const float scale = round_to_bf16(amax / e4m3_max);
  return scale == 0 ? std::numeric_limits<float>::epsilon() : scale;
}

void encode(const WeightView& weight, const EncodeContext& /*context*/, std::span<const std::span<std::byte>> out) {
  auto* const codes = reinterpret_cast<std::uint8_t*>(out[0].data());
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    const float scale = stored_scale(std::bit_cast<float>(kernels::magnitude_bits_f32(values, weight.cols)));
    const std::uint16_t half = to_bf16_bits(scale);
    std::memcpy(out[1].data() + row * 2, &half, sizeof half);
    kernels::fp8_encode(values, weight.cols, scale, codes + row * weight.cols);
  });
}

// One scale for all rows is read too: other tools write it for tensors that were scaled as a whole.
void decode(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& weight,
            std::span<float> out) {
  const StoredFields all(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1];
  const auto codes = all.raw("weight", Dtype::f8_e4m3, rows * cols);
  const std::vector<float> scales = all.floats("weight_scale", rows, 1);
  const auto* const from = reinterpret_cast<const std::uint8_t*>(codes.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row != end; ++row)
      kernels::fp8_decode(from + row * cols, scales[scales.size() == 1 ? 0 : static_cast<std::size_t>(row)], cols,
                          out.data() + row * cols);
  });
}

void quantize_input(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row != end; ++row) kernels::fp8_fake_quantize(x.data() + row * cols, cols);
  });
}

}  // namespace

extern const NumberFormat fp8_dynamic{
    .name = "FP8_DYNAMIC",
    .summary = "FP8 weights, BF16 scale per row, activations FP8 per token",
    .bits_per_weight = 8,
    .calibrated_input = false,
    .quantizes_input = true,
    .fields = fields,
    .refusal = [](const Shape& weight) { return group_refusal(weight, 1); },
    .encode = encode,
    .decode = decode,
    .quantize_input = quantize_input,
    .input_scale_suffix = "",
    .config_group = R"({"format": "float-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "channel", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "token",
        "group_size": null, "dynamic": true, "actorder": null, "block_structure": null, "observer": null,
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .serving = {.vllm = "Ada, Hopper, Blackwell", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
};

}  // namespace strata::number
