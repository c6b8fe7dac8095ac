// Linears that are served as one matrix on their way into a format, with errors that say how to keep them.
#pragma once

#include <span>

#include "base/leased_buffer.h"
#include "engine/plan/assignment.h"
#include "engine/rounding/rounding.h"

namespace strata {

// Largest |w|. Error{input} where it is not finite.
float finite_amax(const Visit& visit, const LinearSpec& linear, const WeightView& weight);

// Encodes `members`, of which `first` is one; `memory` grows to what the method wants. Error{input}.
void encode_group(const Visit& visit, const LinearSpec& first, const RoundingMethod& method, const NumberFormat& format,
                  const EncodeContext& context, std::span<const GroupMember> members, LeasedBuffer& memory);

// How far `decoded` is from the weight. Error{input} where the format cannot hold its values.
EncodeError error_of(const Visit& visit, const LinearSpec& linear, const NumberFormat& format, const WeightView& weight,
                     std::span<const float> decoded);

}  // namespace strata
