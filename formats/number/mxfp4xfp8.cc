// MXFP4XFP8: the weights of MXFP4, activations FP8 in groups of 128 with a float scale.
#include "formats/kernels/fp8.h"
#include "formats/mx_weight.h"
#include "formats/number_format.h"
#include "formats/row_blocks.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m1;
constexpr std::int64_t input_group = 128;

void quantize_input(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first * cols; i < end * cols; i += input_group)
      kernels::fp8_fake_quantize(x.data() + i, input_group);
  });
}

}  // namespace

extern const NumberFormat mxfp4xfp8{
    .name = "MXFP4XFP8",
    .summary = "FP4 weights, power-of-two scale per 32, activations FP8 per 128",
    .bits_per_weight = 4.25,
    .calibrated_input = false,
    .quantizes_input = true,
    .fields = mx_fields<element>,
    .refusal = [](const Shape& weight) { return group_refusal(weight, input_group); },
    .encode = mx_encode<element>,
    .decode = mx_decode<element>,
    .quantize_input = quantize_input,
    .input_scale_suffix = "",
    .config_group = R"({"format": "mxfp4-pack-quantized", "output_activations": null,
      "weights": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "group", "group_size": 32,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "group",
        "group_size": 128, "dynamic": true, "actorder": null, "block_structure": null, "observer": null,
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .serving = {.transformers = "5.15 with compressed-tensors 0.20"},
};

}  // namespace strata::number
