// FP8_SOURCE: blocks of 128 x 128 as an FP8 source stores them, scales in float32.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::block, .input_scale = false};

}  // namespace

extern const NumberFormat fp8_block, fp8_dynamic;

extern const NumberFormat fp8_source = fp8_source_format<layout>({
    .name = "FP8_SOURCE",
    .summary = "what an FP8 source stores in blocks of 128x128, byte for byte",
    .scheme = {.input = fp8_group_inputs},
    .quantize_input = fp8_quantize_groups,
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .stores_as = &fp8_block,
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16",
                .vllm_experts = true,
                .transformers = "5.15",
                .vllm_head_instead = &fp8_dynamic},
});

}  // namespace strata::number
