// What plain rounding makes of a weight: the measure of how much of it a number format can hold.
#pragma once

#include <span>

#include "formats/number_format.h"

namespace strata {

// sum (w - w')^2 over a weight w and what the format makes of it by min-max scales beside `group`, which is all that is
// served with it, itself included; `amax` is the largest magnitude in the group. All of them finite. Error{input} where
// the format cannot encode it. Takes memory for the codes and for the weight in float32.
double plain_squared_error(const NumberFormat& format, const WeightView& weight, std::span<const WeightView> group,
                           float amax);

}  // namespace strata
