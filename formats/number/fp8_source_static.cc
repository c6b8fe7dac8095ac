// FP8_SOURCE_STATIC: a scale a tensor for weight and input, as an FP8 source stores them.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::tensor, .input_scale = true};

}  // namespace

extern const NumberFormat fp8_source_static = fp8_source_format<layout>({
    .name = "FP8_SOURCE_STATIC",
    .summary = "what an FP8 source stores with a scale per tensor, byte for byte",
    .bits_per_weight = 8,
    .quantizes_input = true,
    .config_group = R"({"format": "float-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "tensor", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "tensor",
        "group_size": null, "dynamic": false, "actorder": null, "block_structure": null,
        "observer": "static_minmax", "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
