// MXFP6A16: E2M3 weights, activations left alone.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m3;

}  // namespace

extern const NumberFormat mxfp6a16 = mx_format<element>({
    .name = "MXFP6A16",
    .aliases = "MXFP6_E2M3",
    .summary = "FP6 (E2M3) weights, power-of-two scale per 32, activations untouched",
    .floor = {29, "30.4 to 31.0 with E2M3"},
    .serving = {.transformers = "5.15 with compressed-tensors 0.20", .transformers_experts = true},
});

}  // namespace strata::number
