// MXFP4: FP4 weights and activations, a power of two per 32.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m1;

}  // namespace

extern const NumberFormat mxfp4 = mx_format<element>({
    .name = "MXFP4",
    .summary = "FP4 weights and activations, power-of-two scale per 32",
    .scheme = {.input = mx_input_arguments(element)},
    .quantize_input = mx_inputs<element>,
    .floor = {18, "18.2 to 19.0: powers of two cost 2 dB"},
    .serving =
        {.vllm = "SM80 and newer as W4A16 (Marlin); SM100 and newer with FlashInfer as W4A4, whatever the inputs say",
         .vllm_experts = true,
         .transformers = "5.15"},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
