// Choices for many budgets of one list of prices.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/prices/allocation.h"

namespace strata {

// Budgets in bits per parameter: from, from + step and so on, up to `to`.
struct BitRange {
  double from = 0, to = 0, step = 0;

  static constexpr std::size_t most_points = 1000;
  std::vector<double> bits() const;
};

// "4.25:6.0:0.25". Error{usage} that begins with `name`.
BitRange parse_bit_range(std::string_view name, std::string_view text);

struct FrontierPoint {
  double bits = 0;  // asked
  Allocation allocation;
  std::size_t changes = 0;  // units that have another format than at the point before; 0 for the first
};

// `asked`: price and risk; its budget does not count. Error{usage} as allocate() has it where the first budget is below
// the smallest.
std::vector<FrontierPoint> frontier(const Prices& prices, const BitRange& range, const MixedRequest& asked);

}  // namespace strata
