// Round to nearest with the scale of the largest magnitude: the format's own rule, no calibration.
#include "engine/rounding/rounding.h"

namespace strata::rounding {

extern const RoundingMethod rtn{
    .name = "rtn",
    .summary = "round to nearest, scales from the largest magnitude",
    .version = 1,
    .rule = ScaleRule::minmax,
    .weighs_columns = false,
    .encode = [](const NumberFormat& format, const WeightView& weight, const EncodeContext& context,
                 std::span<const std::span<std::byte>> out) { format.encode(weight, context, out); },
};

}  // namespace strata::rounding
