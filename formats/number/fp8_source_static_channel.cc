// FP8_SOURCE_STATIC_CHANNEL: FP8_SOURCE_STATIC with the scale of the tensor repeated a row, for matrices that are
// served as one while their scales differ: loaders would requantize them to the largest.
#include "formats/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::channel, .input_scale = true};

}  // namespace

extern const NumberFormat fp8_source_static_channel{
    .name = "FP8_SOURCE_STATIC_CHANNEL",
    .summary = "FP8_SOURCE_STATIC with the scale repeated per row, where fused scales differ",
    .bits_per_weight = 8,
    .calibrated_input = false,
    .quantizes_input = true,
    .fields = [](const Shape& weight, Dtype /*source*/,
                 ScaleRule /*rule*/) { return fp8_source_fields(layout, weight); },
    .refusal = [](const Shape& weight) { return fp8_refusal(layout, weight); },
    .encode = fp8_encode_source,
    .decode = [](std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& weight,
                 std::span<float> out) { fp8_decode(layout, stored, bytes, weight, out); },
    .quantize_input = fp8_quantize_static,
    .input_scale_suffix = "input_scale",
    .config_group = R"({"format": "float-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "channel", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "tensor",
        "group_size": null, "dynamic": false, "actorder": null, "block_structure": null,
        "observer": "static_minmax", "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .source_only = true,
    .serving = {.vllm = "sm_89 and later; older as W8A16", .transformers = "5.15"},
};

}  // namespace strata::number
