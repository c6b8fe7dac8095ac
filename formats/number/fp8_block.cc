// FP8_BLOCK: E4M3 weights with a BF16 scale a block of 128 x 128, activations quantized in groups of 128.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::block, .input_scale = false};

}  // namespace

extern const NumberFormat fp8_block = fp8_format<layout>({
    .name = "FP8_BLOCK",
    .summary = "FP8 weights, BF16 scale per 128x128, activations FP8 per 128 columns",
    .bits_per_weight = 8.0009765625,
    .quantizes_input = true,
    .quantize_input = fp8_quantize_groups,
    .config_group = R"({"format": "float-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "block", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": [128, 128], "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "group",
        "group_size": 128, "dynamic": true, "actorder": null, "block_structure": null,
        "observer": null, "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16",
                .vllm_experts = true,
                .vllm_head = false,
                .transformers = "5.15"},
});

}  // namespace strata::number
