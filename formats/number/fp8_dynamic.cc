// FP8_DYNAMIC: E4M3 weights with a BF16 scale a row, activations quantized per token while serving.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::channel, .input_scale = false};

}  // namespace

extern const NumberFormat fp8_dynamic = fp8_format<layout>({
    .name = "FP8_DYNAMIC",
    .summary = "FP8 weights, BF16 scale per row, activations FP8 per token",
    .bits_per_weight = 8,
    .quantizes_input = true,
    .quantize_input = fp8_quantize_tokens,
    .config_group = R"({"format": "float-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "channel", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "token",
        "group_size": null, "dynamic": true, "actorder": null, "block_structure": null,
        "observer": null, "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16",
                .vllm_experts = true,
                .transformers = "5.15",
                .transformers_experts = true},
    .vllm_quantize_input = fp8_quantize_tokens_vllm,
});

}  // namespace strata::number
