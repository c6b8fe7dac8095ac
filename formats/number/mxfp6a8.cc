// MXFP6A8: E2M3 weights, activations MXFP8.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m3;

}  // namespace

extern const NumberFormat mxfp6a8 = mx_format<element>({
    .name = "MXFP6A8",
    .summary = "FP6 (E2M3) weights, power-of-two scale per 32, activations MXFP8",
    .scheme = {.input = mx_input_arguments(kernels::MxElement::e4m3)},
    .quantize_input = mx_inputs<kernels::MxElement::e4m3>,
    .floor = {29, "30.4 to 31.0 with E2M3"},
    .serving = {.transformers = "5.15 with compressed-tensors 0.20"},
});

}  // namespace strata::number
