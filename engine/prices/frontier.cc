#include "engine/prices/frontier.h"

#include "engine/plan/menu.h"
#include "engine/prices/smallest_budget.h"

namespace strata {

std::size_t units_changed(const Allocation& before, const Allocation& after) {
  std::size_t count = 0;
  for (std::size_t u = 0; u < before.option.size(); ++u) count += before.option[u] != after.option[u] ? 1 : 0;
  return count;
}

std::vector<FrontierPoint> frontier(const Prices& prices, const BitRange& range, const MixedRequest& asked) {
  const Allocator allocator(prices, asked);
  std::vector<FrontierPoint> points;
  for (const double bits : range.bits()) {
    const MixedRequest budget{.bits = bits, .pareto = range};
    std::optional<Allocation> found = allocator.within(units_budget(budget, prices.parameters(), prices.other_bytes));
    if (!found) refuse_budget(prices, budget);
    const std::size_t changes = points.empty() ? 0 : units_changed(points.back().allocation, *found);
    points.push_back({.bits = bits, .allocation = std::move(*found), .changes = changes});
  }
  return points;
}

}  // namespace strata
