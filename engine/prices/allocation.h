// One format for every unit of a list of prices: the least loss within a budget.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/plan/request.h"
#include "engine/prices/prices.h"
#include "engine/solver/knapsack.h"

namespace strata {

struct Allocation {
  std::vector<std::uint32_t> option;    // of each unit
  std::uint64_t budget = 0, bytes = 0;  // of the units
  double cost = 0;                      // predicted KL of the output, nats a token
  double standard_error = 0;            // of the cost
  double gap = 0;                       // no other choice within the budget is better by more; 0: none is better
};

// Solves for any number of budgets. Refers to the prices, which outlive it.
class Allocator {
 public:
  // `risk`: so many standard errors count as cost. Error{input} when a price has none and they count.
  Allocator(const Prices& prices, double risk);

  // nullopt when the budget is below the smallest.
  std::optional<Allocation> within(std::uint64_t budget) const;

 private:
  const Prices& prices_;
  const Knapsack knapsack_;
};

// What is asked of the prices. Error{usage} with the smallest budget that works.
Allocation allocate(const Prices& prices, const MixedRequest& asked);

}  // namespace strata
