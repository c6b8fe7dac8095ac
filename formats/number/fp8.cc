// FP8: E4M3 weights and activations with a scale a tensor each, the input's from calibration.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::tensor, .input_scale = true};

}  // namespace

extern const NumberFormat fp8 = fp8_format<layout>({
    .name = "FP8",
    .summary = "FP8 weights and activations, a static scale per tensor; needs calibration data",
    .bits_per_weight = 8,
    .calibrated_input = true,
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
