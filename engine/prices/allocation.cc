#include "engine/prices/allocation.h"

#include <cmath>

#include "base/error.h"
#include "engine/plan/menu.h"
#include "engine/prices/smallest_budget.h"

namespace strata {
namespace {

Knapsack knapsack_of(const Prices& prices, const MixedRequest& asked) {
  const double risk = asked.risk;
  std::vector<KnapsackItem> items;
  for (const PricedUnit& unit : prices.units) {
    KnapsackItem& item = items.emplace_back();
    for (const PricedOption& option : unit.options) {
      const Price& price = option.by(asked.price);
      if (risk > 0 && !std::isfinite(price.standard_error))
        fail(Fault::input,
             "--risk {:g}: the prices of {} have no standard error, as they come from {} window; give "
             "more (--nsamples 2), or leave --risk out",
             risk, unit.name, prices.sequences);
      const double more = risk > 0 ? risk * price.standard_error : 0;  // 0 times infinity is nothing here
      item.options.push_back({.bytes = option.bytes, .loss = price.cost + more});
    }
  }
  return Knapsack(std::move(items));
}

}  // namespace

Allocation allocation_of(const Prices& prices, std::vector<std::uint32_t> option) {
  Allocation allocation{.option = std::move(option)};
  double variance = 0;
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    const PricedOption& chosen = prices.units[u].options[allocation.option[u]];
    allocation.bytes += chosen.bytes;
    allocation.cost += chosen.output.cost;
    variance += chosen.output.standard_error * chosen.output.standard_error;
  }
  allocation.budget = allocation.bytes;
  allocation.standard_error = std::sqrt(variance);
  return allocation;
}

Allocator::Allocator(const Prices& prices, const MixedRequest& asked)
    : prices_(prices), knapsack_(knapsack_of(prices, asked)) {}

std::optional<Allocation> Allocator::within(std::uint64_t budget) const {
  std::optional<KnapsackChoice> choice = knapsack_.solve(budget);
  if (!choice) return std::nullopt;
  Allocation allocation = allocation_of(prices_, std::move(choice->option));
  allocation.budget = budget;
  allocation.gap = choice->gap();
  return allocation;
}

Allocation allocate(const Prices& prices, const MixedRequest& asked) {
  std::optional<Allocation> found =
      Allocator(prices, asked).within(units_budget(asked, prices.parameters(), prices.other_bytes));
  if (!found) refuse_budget(prices, asked);
  return std::move(*found);
}

}  // namespace strata
