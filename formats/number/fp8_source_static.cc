// FP8_SOURCE_STATIC: a scale a tensor for weight and input, as an FP8 source stores them.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::tensor, .input_scale = true};

}  // namespace

extern const NumberFormat fp8, fp8_source_static_channel;

extern const NumberFormat fp8_source_static = fp8_source_format<layout>({
    .name = "FP8_SOURCE_STATIC",
    .summary = "what an FP8 source stores with a scale per tensor, byte for byte",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .stores_as = &fp8,
    .channel_form = &fp8_source_static_channel,
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
