// A rounding method: how codes are chosen once the number format is known. One file each under
// engine/rounding.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "formats/number_format.h"

namespace strata {

struct RoundingMethod {
  std::string_view name;     // as users type it: "rtn"
  std::string_view summary;  // one line for `strata formats`
  int version;               // changes when its bytes change; goes into fingerprints
  ScaleRule rule;            // how scales are chosen; --parity overrides it
  bool weighs_columns;       // its errors are weighted by E[x^2] of the input column, when there is data
  // Encodes one Linear into buffers of the sizes of format.fields(). Deterministic.
  void (*encode)(const NumberFormat& format, const WeightView& weight, const EncodeContext& context,
                 std::span<const std::span<std::byte>> out);
};

std::span<const RoundingMethod* const> rounding_methods();             // generated from engine/rounding/*.cc
const RoundingMethod& require_rounding_method(std::string_view name);  // Error{usage} with a suggestion

}  // namespace strata
