// Choices for many budgets of one list of prices.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/plan/bit_range.h"
#include "engine/prices/allocation.h"

namespace strata {

struct FrontierPoint {
  double bits = 0;  // asked
  Allocation allocation;
  std::size_t changes = 0;  // units that have another format than at the point before; 0 for the first
};

// Units that have another format in one than in the other.
std::size_t units_changed(const Allocation& before, const Allocation& after);

// `asked`: price and risk; its budget does not count. Error{usage} as allocate() has it where the first budget is below
// the smallest.
std::vector<FrontierPoint> frontier(const Prices& prices, const BitRange& range, const MixedRequest& asked);

}  // namespace strata
