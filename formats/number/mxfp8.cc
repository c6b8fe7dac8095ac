// MXFP8: E4M3 weights and activations, a power of two per 32.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e4m3;

}  // namespace

extern const NumberFormat mxfp8 = mx_format<element>({
    .name = "MXFP8",
    .aliases = "MXFP8_E4M3",
    .summary = "FP8 weights and activations, power-of-two scale per 32",
    .scheme = {.input = mx_input_arguments(element)},
    .quantize_input = mx_inputs<element>,
    .floor = {30, "31.5 whatever the weights: three bits of mantissa"},
    .serving = {.vllm = "SM75 and newer as W8A16 (Marlin); SM100 and newer as W8A8, whatever the inputs say",
                .vllm_experts = true,
                .transformers = "5.15"},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
