#include "engine/solver/core_search.h"

#include <algorithm>

namespace strata {

CoreSearch::CoreSearch(Start start) : start_(std::move(start)), best_(choice_of(start_.option)) {}

KnapsackChoice CoreSearch::choice_of(const std::vector<std::uint32_t>& option) const {
  KnapsackChoice choice{.option = option};
  for (std::size_t i = 0; i < option.size(); ++i) {
    choice.bytes += start_.items[i].options[option[i]].bytes;
    choice.loss += start_.items[i].options[option[i]].loss;
  }
  return choice;
}

void CoreSearch::offer(const std::vector<std::uint32_t>& option) {
  if (KnapsackChoice choice = choice_of(option); choice.bytes <= start_.budget && choice.loss < best_.loss)
    best_ = std::move(choice);
}

// Items with an alternative that may lead to something better, those that cost least first.
std::vector<CoreSearch::CoreItem> CoreSearch::core() const {
  std::vector<CoreItem> core;
  for (std::uint32_t item = 0; item < start_.items.size(); ++item) {
    const std::vector<KnapsackOption>& options = start_.items[item].options;
    const KnapsackOption& here = options[start_.option[item]];
    CoreItem mine{.item = item};
    for (std::uint32_t i = 0; i < options.size(); ++i) {
      if (i == start_.option[item]) continue;
      Alternative other{.option = i,
                        .bytes = static_cast<std::int64_t>(options[i].bytes) - static_cast<std::int64_t>(here.bytes),
                        .loss = options[i].loss - here.loss};
      // Rounding may take a little from a penalty of nothing.
      other.penalty = std::max(0.0, other.loss + start_.slope * static_cast<double>(other.bytes));
      if (!is_out(other.penalty)) mine.alternatives.push_back(other);
    }
    if (mine.alternatives.empty()) continue;
    mine.least = std::ranges::min(mine.alternatives, {}, &Alternative::penalty).penalty;
    core.push_back(std::move(mine));
  }
  std::ranges::stable_sort(core, {}, &CoreItem::least);
  return core;
}

// Partial choices with the item beside those without, fewest bytes first; none that another one beats in both.
std::vector<CoreSearch::State> CoreSearch::extend(const std::vector<State>& states, const CoreItem& item) {
  std::vector<State> all = states;  // the item stays as it is
  for (const Alternative& other : item.alternatives)
    for (const State& state : states) {
      const double penalty = state.penalty + other.penalty;
      if (is_out(penalty)) continue;
      all.push_back({.bytes = state.bytes + other.bytes,
                     .loss = state.loss + other.loss,
                     .penalty = penalty,
                     .trace = static_cast<std::uint32_t>(traces_.size())});
      traces_.push_back({.before = state.trace, .item = item.item, .option = other.option});
    }
  std::ranges::stable_sort(
      all, [](const State& a, const State& b) { return a.bytes != b.bytes ? a.bytes < b.bytes : a.loss < b.loss; });
  std::vector<State> kept;
  for (const State& state : all)
    if (kept.empty() || state.loss < kept.back().loss) kept.push_back(state);
  return kept;
}

void CoreSearch::take(const State& state) {
  std::vector<std::uint32_t> option = start_.option;
  for (std::uint32_t at = state.trace; at != 0; at = traces_[at].before) option[traces_[at].item] = traces_[at].option;
  offer(option);
}

KnapsackChoice CoreSearch::run(std::size_t most_states) {
  const auto fits = [&](const State& state) {
    return static_cast<std::int64_t>(start_.bytes) + state.bytes <= static_cast<std::int64_t>(start_.budget);
  };
  traces_.assign(1, {});  // the relaxed choice itself
  std::vector<State> states = {{}};
  double open = 0;  // what was not looked at has at least this penalty; without any, the best is the best
  bool all = true;
  for (const CoreItem& item : core()) {
    if (is_out(item.least)) break;  // a better choice came meanwhile; those that follow cost more
    if (traces_.size() + states.size() * item.alternatives.size() > most_states) {
      open = item.least;
      all = false;
      break;
    }
    states = extend(states, item);
    // The last that fits has the least loss of those.
    const auto end = std::ranges::partition_point(states, fits);
    if (end != states.begin() && start_.loss + std::prev(end)->loss < best_.loss) take(*std::prev(end));
    std::erase_if(states, [&](const State& state) { return is_out(state.penalty); });
  }
  best_.bound = all ? best_.loss : std::min(best_.loss, start_.bound + open);
  return best_;
}

}  // namespace strata
