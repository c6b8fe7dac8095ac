// The multiple-choice knapsack: one option of every item, least loss within a budget of bytes. docs/method.md has the
// mathematics: lower hulls, merged by slope, give the linear relaxation for all budgets at once; a search through the
// items near the critical slope closes its gap (Sinha and Zoltners 1979; Pisinger 1995).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace strata {

struct KnapsackOption {
  std::uint64_t bytes = 0;
  double loss = 0;  // finite
};

struct KnapsackItem {
  std::vector<KnapsackOption> options;  // in any order, at least one
};

struct KnapsackChoice {
  std::vector<std::uint32_t> option;  // of each item
  std::uint64_t bytes = 0;            // of all, at most the budget
  double loss = 0;                    // of all
  double bound = 0;                   // no choice within the budget has less loss

  double gap() const { return loss - bound; }  // 0 when it is known to be the best
};

// A point of the relaxation: what is reached exactly when the budget ends there.
struct KnapsackPoint {
  std::uint64_t bytes = 0;
  double loss = 0;
};

// Immutable, and so thread-safe. Equal items give equal choices.
class Knapsack {
 public:
  // Error{bug} when an item has no option or a loss that is not finite.
  explicit Knapsack(std::vector<KnapsackItem> items);

  std::uint64_t least_bytes() const { return least_bytes_; }  // no budget below this has a choice

  // nullopt when the budget is below least_bytes(). `most_states` bounds the search; where it does not suffice the
  // choice has a gap.
  std::optional<KnapsackChoice> solve(std::uint64_t budget, std::size_t most_states = std::size_t{1} << 21) const;

  // No choice within a budget of at least least_bytes() has less loss; what solve() begins with.
  double bound(std::uint64_t budget) const;

  std::vector<KnapsackPoint> frontier() const;  // from the fewest bytes to the least loss

 private:
  // From one option on the hull of an item to the next.
  struct Step {
    std::uint32_t item = 0, from = 0, to = 0;
    std::uint64_t bytes = 0;  // more
    double gain = 0;          // less loss; gain / bytes falls from step to step

    double slope() const { return gain / static_cast<double>(bytes); }
  };
  struct Relaxed;

  void add_hull(std::uint32_t item);
  Relaxed relax(std::uint64_t budget) const;

  const std::vector<KnapsackItem> items_;
  std::vector<std::uint32_t> least_;  // of each item: the option with the fewest bytes
  std::uint64_t least_bytes_ = 0;
  double least_loss_ = 0;
  std::vector<Step> steps_;           // steepest first
  std::vector<std::uint64_t> bytes_;  // after so many steps
  std::vector<double> loss_;          // likewise
};

}  // namespace strata
