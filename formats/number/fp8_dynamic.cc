// FP8_DYNAMIC: E4M3 weights with a BF16 scale a row, activations quantized per token while serving.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::channel, .input_scale = false};

}  // namespace

extern const NumberFormat fp8_dynamic = fp8_format<layout>({
    .name = "FP8_DYNAMIC",
    .summary = "FP8 weights, BF16 scale per row, activations FP8 per token",
    .scheme = {.input = fp8_token_inputs},
    .quantize_input = fp8_quantize_tokens,
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16",
                .vllm_experts = true,
                .transformers = "5.15",
                .transformers_experts = true},
    .vllm_quantize_input = fp8_quantize_tokens_vllm,
});

}  // namespace strata::number
