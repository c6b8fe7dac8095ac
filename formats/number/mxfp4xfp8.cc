// MXFP4XFP8: the weights of MXFP4, activations FP8 in groups of 128 with a float scale.
#include "formats/weight/fp8_weight.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m1;

}  // namespace

extern const NumberFormat mxfp4xfp8 = mx_format<element>({
    .name = "MXFP4XFP8",
    .summary = "FP4 weights, power-of-two scale per 32, activations FP8 per 128",
    .scheme = {.input = fp8_group_inputs},
    .refusal = [](const Shape& weight) { return group_refusal(weight, fp8_block); },  // of its inputs
    .quantize_input = fp8_quantize_groups,
    .floor = {18, "18.2 to 19.0: powers of two cost 2 dB"},
    .serving = {.vllm = "SM80 and newer; inputs in FP8 from 0.32 on, with Humming kernels, else as MXFP4",
                .vllm_experts = true,
                .transformers = "5.15 with compressed-tensors 0.20"},
    .vllm_before = "0.28 to 0.31 take it for MXFP4",
});

}  // namespace strata::number
