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
  double jumps = 0;                     // of that, because tokens change experts
  double standard_error = 0;            // of the cost
  double gap = 0;  // by what it was chosen by, no other choice is better by more; 0: none is better
};

// What the units come to in these options, whoever chose them: as many bytes as they take, and no gap.
Allocation allocation_of(const Prices& prices, std::vector<std::uint32_t> option);

// Solves for any number of budgets. Refers to the prices, which outlive it.
//
// Where tokens change experts, what is least is Q + sqrt(X), Q the sum of prices, X that of squared jumps: no sum over
// units. Between sqrt(X) = a and b the root is above its chord, a + (X - a^2) / (a + b), with which it is one: the
// knapsack of Q + X / (a + b) bounds all choices there from below. The range of lowest bound is cut in two until its
// bound reaches the best choice met (docs/method.md).
class Allocator {
 public:
  // By the price that is asked for, standard errors beside it. Error{input} when one has none and they count.
  Allocator(const Prices& prices, const MixedRequest& asked);

  // nullopt when the budget is below the smallest.
  std::optional<Allocation> within(std::uint64_t budget) const;

 private:
  // Of one option: what it is chosen by.
  struct Loss {
    double price = 0, squared_jump = 0;
  };
  Knapsack between(double low, double high) const;
  std::optional<KnapsackChoice> solve(const Knapsack& knapsack, std::uint64_t budget) const;  // option of each unit
  double root_of(const std::vector<std::uint32_t>& option) const;                             // of the squared jumps
  double loss_of(const std::vector<std::uint32_t>& option) const;
  std::optional<KnapsackChoice> least_with_jumps(std::uint64_t budget) const;

  const Prices& prices_;
  const std::vector<std::vector<std::size_t>> choices_;  // units of each item
  std::vector<std::vector<Loss>> losses_;                // by unit and option
  std::optional<Knapsack> plain_;                        // where no jump counts
  double most_jumps_ = 0;                                // no choice has more
};

// What is asked of the prices. Error{usage} with the smallest budget that works.
Allocation allocate(const Prices& prices, const MixedRequest& asked);

}  // namespace strata
