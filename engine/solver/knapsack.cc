#include "engine/solver/knapsack.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "engine/solver/core_search.h"

namespace strata {

// The best choice where one item may be split between two options: what the budget ends in.
struct Knapsack::Relaxed {
  std::vector<std::uint32_t> option;
  std::uint64_t bytes = 0;
  double loss = 0;
  std::size_t steps = 0;  // taken
  double slope = 0;       // of the one that the budget ends in; 0 when it ends in none
};

Knapsack::Knapsack(std::vector<KnapsackItem> items) : items_(std::move(items)) {
  least_.reserve(items_.size());
  for (std::uint32_t item = 0; item < items_.size(); ++item) add_hull(item);
  std::ranges::stable_sort(steps_, [](const Step& a, const Step& b) { return a.slope() > b.slope(); });
  bytes_ = {least_bytes_};
  loss_ = {least_loss_};
  for (const Step& step : steps_) {
    bytes_.push_back(bytes_.back() + step.bytes);
    loss_.push_back(loss_.back() - step.gain);
  }
}

// The lower convex hull of an item's options, left to right.
void Knapsack::add_hull(std::uint32_t item) {
  const std::vector<KnapsackOption>& options = items_[item].options;
  if (options.empty()) fail(Fault::bug, "knapsack: item {} has no option", item);
  std::vector<std::uint32_t> order(options.size());
  std::iota(order.begin(), order.end(), 0u);
  for (const KnapsackOption& option : options)
    if (!std::isfinite(option.loss)) fail(Fault::bug, "knapsack: a loss of item {} is {}", item, option.loss);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return options[a].bytes != options[b].bytes ? options[a].bytes < options[b].bytes
                                                : options[a].loss < options[b].loss;
  });
  std::vector<Step> hull;
  std::uint32_t last = order.front();
  for (const std::uint32_t next : order) {
    if (options[next].loss >= options[last].loss) continue;  // costs more and is no better, or is where we stand
    Step step{item, last, next, options[next].bytes - options[last].bytes, options[last].loss - options[next].loss};
    while (!hull.empty() &&
           step.gain * static_cast<double>(hull.back().bytes) >= hull.back().gain * static_cast<double>(step.bytes)) {
      step = {item, hull.back().from, next, hull.back().bytes + step.bytes, hull.back().gain + step.gain};
      hull.pop_back();
    }
    hull.push_back(step);
    last = next;
  }
  least_.push_back(order.front());
  least_bytes_ += options[order.front()].bytes;
  least_loss_ += options[order.front()].loss;
  steps_.insert(steps_.end(), hull.begin(), hull.end());
}

Knapsack::Relaxed Knapsack::relax(std::uint64_t budget) const {
  Relaxed relaxed{.option = least_};
  relaxed.steps = static_cast<std::size_t>(std::ranges::upper_bound(bytes_, budget) - bytes_.begin()) - 1;
  relaxed.bytes = bytes_[relaxed.steps];
  relaxed.loss = loss_[relaxed.steps];
  for (std::size_t i = 0; i < relaxed.steps; ++i) relaxed.option[steps_[i].item] = steps_[i].to;
  if (relaxed.steps < steps_.size()) relaxed.slope = steps_[relaxed.steps].slope();
  return relaxed;
}

std::optional<KnapsackChoice> Knapsack::solve(std::uint64_t budget, std::size_t most_states) const {
  if (budget < least_bytes_) return std::nullopt;
  Relaxed start = relax(budget);
  CoreSearch search({.items = items_,
                     .option = start.option,
                     .bytes = start.bytes,
                     .loss = start.loss,
                     .budget = budget,
                     .slope = start.slope,
                     .bound = bound(budget)});
  // What still fits, steepest first: a choice to begin with.
  std::uint64_t bytes = start.bytes;
  std::vector<std::uint32_t> filled = start.option;
  for (std::size_t i = start.steps; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (filled[step.item] != step.from || bytes + step.bytes > budget) continue;
    filled[step.item] = step.to;
    bytes += step.bytes;
  }
  search.offer(filled);
  return search.run(most_states);
}

double Knapsack::bound(std::uint64_t budget) const {
  const auto steps = static_cast<std::size_t>(std::ranges::upper_bound(bytes_, budget) - bytes_.begin()) - 1;
  if (steps == steps_.size()) return loss_[steps];
  return loss_[steps] - steps_[steps].slope() * static_cast<double>(budget - bytes_[steps]);
}

std::vector<KnapsackPoint> Knapsack::frontier() const {
  std::vector<KnapsackPoint> points;
  for (std::size_t i = 0; i < bytes_.size(); ++i) points.push_back({bytes_[i], loss_[i]});
  return points;
}

}  // namespace strata
