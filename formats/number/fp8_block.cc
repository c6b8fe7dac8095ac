// FP8_BLOCK: E4M3 weights with a BF16 scale a block of 128 x 128, activations quantized in groups of 128.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::block, .input_scale = false};

}  // namespace

extern const NumberFormat fp8_dynamic;

extern const NumberFormat fp8_block = fp8_format<layout>({
    .name = "FP8_BLOCK",
    .summary = "FP8 weights, BF16 scale per 128x128, activations FP8 per 128 columns",
    .scheme = {.input = fp8_group_inputs},
    .quantize_input = fp8_quantize_groups,
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16",
                .vllm_experts = true,
                .transformers = "5.15",
                .vllm_head_instead = &fp8_dynamic},
});

}  // namespace strata::number
