// Values that are NaN or infinite end a run where they first leave a layer: no format, price or figure comes from them.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace strata {

// What values are, and who made them of what.
struct ValuesOf {
  std::string visit;                         // "layer 3"
  std::string pass;                          // "propagate"
  std::string what;                          // "hidden states"
  std::function<std::string()> broken = {};  // a tensor at hand that is not finite; "" when all are
};

// The first that is not finite. One pass over them where all are.
std::optional<std::size_t> first_not_finite(std::span<const float> values);

// Error{input}. `place`: "window 3, token 17", or empty where it is everywhere.
[[noreturn]] void fail_not_finite(std::string_view model, const ValuesOf& values, std::string_view place);

}  // namespace strata
