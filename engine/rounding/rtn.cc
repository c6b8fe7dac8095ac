// Round to nearest with the scale of the largest magnitude: the format's own rule, no calibration.
#include "engine/rounding/rounding.h"

namespace strata::rounding {

extern const RoundingMethod rtn{
    .name = "rtn",
    .summary = "round to nearest, scales from the largest magnitude",
    .version = 1,
    .rule = ScaleRule::minmax,
    .wants = Collect::nothing,
    .encode =
        [](const NumberFormat& format, const EncodeContext& context, std::span<const GroupMember> group,
           std::span<std::byte> /*memory*/) {
          for (const GroupMember& member : group) encode_member(format, context, member);
        },
};

}  // namespace strata::rounding
