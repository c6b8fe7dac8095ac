// The search of the knapsack that closes the gap of its relaxation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/solver/knapsack.h"

namespace strata {

// With the critical slope L (loss a byte), the penalty of an option is loss + L bytes, less that of the relaxed choice:
// at least 0. A choice whose penalties sum up to P has at least bound + P: options whose penalty alone reaches the best
// choice known are out, and so are partial choices. What is left is a core of few items, whose partial choices are kept
// as a list without dominated ones, item by item.
class CoreSearch {
 public:
  struct Start {
    const std::vector<KnapsackItem>& items;
    std::vector<std::uint32_t> option;  // relaxed, of each item
    std::uint64_t bytes = 0;            // of those
    double loss = 0;                    // of those
    std::uint64_t budget = 0;
    double slope = 0;
    double bound = 0;
  };
  explicit CoreSearch(Start start);

  void offer(const std::vector<std::uint32_t>& option);  // a choice within the budget
  KnapsackChoice run(std::size_t most_states);

 private:
  struct Alternative {
    std::uint32_t option = 0;
    std::int64_t bytes = 0;  // beside the relaxed choice
    double loss = 0, penalty = 0;
  };
  struct CoreItem {
    std::uint32_t item = 0;
    double least = 0;  // penalty of its alternatives
    std::vector<Alternative> alternatives;
  };
  // A partial choice over the core items so far.
  struct State {
    std::int64_t bytes = 0;  // beside the relaxed choice
    double loss = 0, penalty = 0;
    std::uint32_t trace = 0;  // in traces_
  };
  // How a state came about: the one before it, and what the item of its stage took.
  struct Trace {
    std::uint32_t before = 0, item = 0, option = 0;
  };

  std::vector<CoreItem> core() const;
  std::vector<State> extend(const std::vector<State>& states, const CoreItem& item);
  bool is_out(double penalty) const { return start_.bound + penalty >= best_.loss; }
  void take(const State& state);
  KnapsackChoice choice_of(const std::vector<std::uint32_t>& option) const;

  const Start start_;
  KnapsackChoice best_;
  std::vector<Trace> traces_;
};

}  // namespace strata
