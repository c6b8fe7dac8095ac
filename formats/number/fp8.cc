// FP8: E4M3 weights and activations with a scale a tensor each, the input's from calibration.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::tensor, .input_scale = true};

}  // namespace

extern const NumberFormat fp8_dynamic;

extern const NumberFormat fp8 = fp8_format<layout>({
    .name = "FP8",
    .summary = "FP8 weights and activations, a static scale per tensor; needs calibration data",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
    .without_data = &fp8_dynamic,
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
