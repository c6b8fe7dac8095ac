// MXFP8A16: the weights of MXFP8, activations left alone. vLLM has one scheme for both, so that the hardware decides.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e4m3;

}  // namespace

extern const NumberFormat mxfp8;

extern const NumberFormat mxfp8a16 = mx_format<element>({
    .name = "MXFP8A16",
    .summary = "FP8 weights, power-of-two scale per 32, activations untouched",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa"},
    .serving = {.vllm = "SM75 and newer as W8A16 (Marlin); SM100 and newer as W8A8, whatever the inputs say",
                .vllm_experts = true,
                .transformers = "5.15",
                .vllm_same_as = &mxfp8},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
