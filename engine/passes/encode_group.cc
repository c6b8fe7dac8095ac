#include "engine/passes/encode_group.h"

#include <cmath>

#include "base/error.h"
#include "formats/weight/weights.h"

namespace strata {

float finite_amax(const Visit& visit, const LinearSpec& linear, const WeightView& weight) {
  try {
    return finite_amax(weight, linear.module + ".weight");
  } catch (const Error& error) {
    fail(error.fault, "{}; {} keeps it", error.what(), ignore_options(visit, linear));
  }
}

void encode_group(const Visit& visit, const LinearSpec& first, const RoundingMethod& method, const NumberFormat& format,
                  const EncodeContext& context, std::span<const GroupMember> members, LeasedBuffer& memory) {
  std::vector<WeightView> weights;
  for (const GroupMember& member : members) weights.push_back(member.weight);
  if (method.scratch != nullptr) memory.grow(method.scratch(format, weights));
  try {
    method.encode(format, context, members, memory.bytes());
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    // All of a group are kept together.
    fail(error.fault, "{}; {} keeps it", error.what(), ignore_options(visit, first));
  }
}

EncodeError error_of(const Visit& visit, const LinearSpec& linear, const NumberFormat& format, const WeightView& weight,
                     std::span<const float> decoded) {
  const EncodeError error = encode_error(weight, decoded);
  if (!std::isfinite(error.squared_error))
    fail(Fault::input, "{}: holds values that {} cannot; {} keeps it", linear.module, format.name,
         ignore_options(visit, linear));
  return error;
}

}  // namespace strata
