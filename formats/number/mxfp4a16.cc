// MXFP4A16: the weights of MXFP4, activations left alone. vLLM has one scheme for both, so that the hardware decides.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m1;

}  // namespace

extern const NumberFormat mxfp4;

extern const NumberFormat mxfp4a16 = mx_format<element>({
    .name = "MXFP4A16",
    .summary = "FP4 weights, power-of-two scale per 32, activations untouched",
    .floor = {18, "18.2 to 19.0: powers of two cost 2 dB"},
    .serving =
        {.vllm = "SM80 and newer as W4A16 (Marlin); SM100 and newer with FlashInfer as W4A4, whatever the inputs say",
         .vllm_experts = true,
         .transformers = "5.15",
         .transformers_experts = true,
         .vllm_same_as = &mxfp4},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
