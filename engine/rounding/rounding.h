// A rounding method: how codes are chosen once the number format is known. One file each under
// engine/rounding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/graph/collect.h"
#include "formats/number_format.h"

namespace strata {

// A Linear to encode, into buffers of the sizes of format.fields().
struct GroupMember {
  std::string_view module;  // for errors
  WeightView weight;
  std::span<const std::span<std::byte>> out;
};

struct RoundingMethod {
  std::string_view name;     // as users type it: "rtn"
  std::string_view summary;  // one line for `strata formats`
  int version;               // changes when its bytes change; goes into fingerprints
  ScaleRule rule;            // how scales are chosen; --parity overrides it
  Collect wants;             // of the inputs of the Linears that it encodes, when there is data
  // Bytes of working memory for a group, whose weights are shapes alone here. nullptr: none.
  std::uint64_t (*scratch)(const NumberFormat& format, std::span<const WeightView> group) = nullptr;
  // Encodes Linears that are served as one matrix, and so see one input. The context has what they share: the rule, the
  // largest magnitude, the shared scale, what was asked for of the input. `memory` has the bytes of scratch(), leased.
  // Deterministic. Error{input} that begins with the module's name.
  void (*encode)(const NumberFormat& format, const EncodeContext& context, std::span<const GroupMember> group,
                 std::span<std::byte> memory);
};

// The format's own encoder on one member, by the context's rule: what a method ends with. Error{input} that begins with
// the module's name.
void encode_member(const NumberFormat& format, const EncodeContext& context, const GroupMember& member);

std::span<const RoundingMethod* const> rounding_methods();             // generated from engine/rounding/*.cc
const RoundingMethod& require_rounding_method(std::string_view name);  // Error{usage} with a suggestion

}  // namespace strata
