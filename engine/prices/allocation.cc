#include "engine/prices/allocation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/plan/menu.h"
#include "engine/prices/flip_law.h"
#include "engine/prices/smallest_budget.h"

namespace strata {
namespace {

// Where the root of X may lie, and what no choice there is below.
struct Range {
  double low = 0, high = 0, bound = 0;
};

constexpr int most_ranges = 64;
constexpr double close_enough = 1e-6;  // of the loss: what is left is told as the gap

double chord_offset(double low, double high) { return low * high / (low + high); }

void require_error(const PricedUnit& unit, double standard_error, const MixedRequest& asked, const Prices& prices) {
  if (asked.risk <= 0 || std::isfinite(standard_error)) return;
  fail(Fault::input,
       "--risk {:g}: the prices of {} have no standard error, as they come from {} window; give "
       "more (--nsamples 2), or leave --risk out",
       asked.risk, unit.name, prices.sequences);
}

}  // namespace

Allocator::Allocator(const Prices& prices, const MixedRequest& asked) : prices_(prices), choices_(prices.choices()) {
  const bool with_jumps = asked.price == PriceRule::output && has_jumps(prices);
  double squares = 0;
  for (const PricedUnit& unit : prices.units) {
    std::vector<Loss>& mine = losses_.emplace_back();
    double largest = 0;
    for (std::size_t i = 0; i < unit.options.size(); ++i) {
      const Price& price = unit.options[i].by(asked.price);
      require_error(unit, price.standard_error, asked, prices);
      if (with_jumps && unit.jump) require_error(unit, unit.jump->standard_error, asked, prices);
      const double more = asked.risk > 0 ? asked.risk * price.standard_error : 0;  // 0 times infinity is nothing here
      const double jump = with_jumps ? jump_of(unit, i, asked.risk) : 0;
      mine.push_back({.price = price.cost + more, .squared_jump = jump * jump});
      largest = std::max(largest, jump * jump);
    }
    squares += largest;
  }
  most_jumps_ = std::sqrt(squares);
  if (most_jumps_ == 0) plain_.emplace(between(0, 1));
}

// The losses Q + X / (low + high).
Knapsack Allocator::between(double low, double high) const {
  std::vector<KnapsackItem> items;
  for (const std::vector<std::size_t>& choice : choices_) {
    KnapsackItem& item = items.emplace_back();
    item.options.resize(losses_[choice.front()].size());
    for (const std::size_t u : choice)
      for (std::size_t i = 0; i < losses_[u].size(); ++i) {
        item.options[i].bytes += prices_.units[u].options[i].bytes;
        item.options[i].loss += losses_[u][i].price + losses_[u][i].squared_jump / (low + high);
      }
  }
  return Knapsack(std::move(items));
}

std::optional<KnapsackChoice> Allocator::solve(const Knapsack& knapsack, std::uint64_t budget) const {
  std::optional<KnapsackChoice> found = knapsack.solve(budget);
  if (!found) return std::nullopt;
  std::vector<std::uint32_t> option(losses_.size());
  for (std::size_t i = 0; i < choices_.size(); ++i)
    for (const std::size_t u : choices_[i]) option[u] = found->option[i];
  found->option = std::move(option);
  return found;
}

double Allocator::root_of(const std::vector<std::uint32_t>& option) const {
  double squares = 0;
  for (std::size_t u = 0; u < option.size(); ++u) squares += losses_[u][option[u]].squared_jump;
  return std::sqrt(squares);
}

double Allocator::loss_of(const std::vector<std::uint32_t>& option) const {
  double price = 0;
  for (std::size_t u = 0; u < option.size(); ++u) price += losses_[u][option[u]].price;
  return price + root_of(option);
}

std::optional<KnapsackChoice> Allocator::least_with_jumps(std::uint64_t budget) const {
  std::optional<KnapsackChoice> best;
  std::vector<Range> open = {{.low = 0, .high = most_jumps_}};
  for (int tried = 0; tried < most_ranges; ++tried) {
    const auto lowest = std::ranges::min_element(open, {}, &Range::bound);
    const Range range = *lowest;
    if (best && range.bound >= best->loss * (1 - close_enough)) break;
    open.erase(lowest);
    std::optional<KnapsackChoice> found = solve(between(range.low, range.high), budget);
    if (!found) return std::nullopt;
    const double bound = found->bound + chord_offset(range.low, range.high);
    const double root = root_of(found->option);
    found->loss = loss_of(found->option);
    if (!best || found->loss < best->loss) best = std::move(found);
    // Where the root of the choice lies, the chords of both parts meet the root.
    const bool inside = root > range.low * (1 + close_enough) && root < range.high * (1 - close_enough);
    const double middle = inside ? root : (range.low + range.high) / 2;
    for (const auto& [low, high] : {std::pair(range.low, middle), std::pair(middle, range.high)})
      open.push_back({low, high, std::max(bound, between(low, high).bound(budget) + chord_offset(low, high))});
  }
  best->bound = best->loss;
  for (const Range& range : open) best->bound = std::min(best->bound, range.bound);
  return best;
}

Allocation allocation_of(const Prices& prices, std::vector<std::uint32_t> option) {
  Allocation allocation{.option = std::move(option)};
  double variance = 0, squares = 0, jump_variance = 0;
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    const PricedUnit& unit = prices.units[u];
    const PricedOption& chosen = unit.options[allocation.option[u]];
    allocation.bytes += chosen.bytes;
    allocation.cost += chosen.output.cost;
    variance += chosen.output.standard_error * chosen.output.standard_error;
    const double jump = jump_of(unit, allocation.option[u]);
    if (jump <= 0) continue;
    const double error = jump * unit.jump->standard_error / unit.jump->nats;
    squares += jump * jump;
    jump_variance += jump * jump * error * error;
  }
  allocation.budget = allocation.bytes;
  allocation.jumps = std::sqrt(squares);
  allocation.cost += allocation.jumps;
  if (squares > 0) variance += jump_variance / squares;
  allocation.standard_error = std::sqrt(variance);
  return allocation;
}

std::optional<Allocation> Allocator::within(std::uint64_t budget) const {
  std::optional<KnapsackChoice> choice = plain_ ? solve(*plain_, budget) : least_with_jumps(budget);
  if (!choice) return std::nullopt;
  const double gap = choice->gap();
  Allocation allocation = allocation_of(prices_, std::move(choice->option));
  allocation.budget = budget;
  allocation.gap = gap;
  return allocation;
}

Allocation allocate(const Prices& prices, const MixedRequest& asked) {
  std::optional<Allocation> found =
      Allocator(prices, asked).within(units_budget(asked, prices.parameters(), prices.other_bytes));
  if (!found) refuse_budget(prices, asked);
  return std::move(*found);
}

}  // namespace strata
