// A range of budgets.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// Budgets in bits per parameter: from, from + step and so on, up to `to`.
struct BitRange {
  double from = 0, to = 0, step = 0;

  static constexpr std::size_t most_points = 1000;
  std::vector<double> bits() const;
  std::string text() const;  // "4.25:6:0.25"

  bool operator==(const BitRange&) const = default;
};

// "4.25:6.0:0.25". Error{usage} that begins with `name`.
BitRange parse_bit_range(std::string_view name, std::string_view text);

}  // namespace strata
