// MXFP6_E3M2: FP6 with a wider range and fewer mantissa bits, for research.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e3m2;

}  // namespace

extern const NumberFormat mxfp6_e3m2 = mx_format<element>({
    .name = "MXFP6_E3M2",
    .summary = "FP6 (E3M2) weights, power-of-two scale per 32; research only, no runtime loads it",
    .floor = {25, "25.5 to 25.6: two bits of mantissa"},
});

}  // namespace strata::number
