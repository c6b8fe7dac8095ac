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
  double cost = 0;                      // predicted KL of the output, nats a token, whatever it was chosen by
  double standard_error = 0;            // of the cost
  double gap = 0;  // by what it was chosen by, no other choice is better by more; 0: none is better
};

// What the units come to in these options, whoever chose them: as many bytes as they take, and no gap.
Allocation allocation_of(const Prices& prices, std::vector<std::uint32_t> option);

// Solves for any number of budgets. Refers to the prices, which outlive it.
class Allocator {
 public:
  // By the price that is asked for, standard errors beside it. Error{input} when one has none and they count.
  Allocator(const Prices& prices, const MixedRequest& asked);

  // nullopt when the budget is below the smallest.
  std::optional<Allocation> within(std::uint64_t budget) const;

 private:
  const Prices& prices_;
  const Knapsack knapsack_;
};

// What is asked of the prices. Error{usage} with the smallest budget that works.
Allocation allocate(const Prices& prices, const MixedRequest& asked);

}  // namespace strata
