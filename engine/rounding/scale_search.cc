// Round to nearest with searched scales: of the scales near that of the largest magnitude the one whose codes are
// nearest to the weights. With calibration data the error of an input column counts by its E[x^2].
#include "engine/rounding/rounding.h"

namespace strata::rounding {

extern const RoundingMethod scale_search{
    .name = "scale-search",
    .summary = "round to nearest, scales with the least error",
    .version = 1,
    .rule = ScaleRule::search,
    .wants = Collect::squares,
    .encode =
        [](const NumberFormat& format, const EncodeContext& context, std::span<const GroupMember> group,
           std::span<std::byte> /*memory*/) {
          for (const GroupMember& member : group) encode_member(format, context, member);
        },
};

}  // namespace strata::rounding
