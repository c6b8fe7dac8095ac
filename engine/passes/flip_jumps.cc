#include "engine/passes/flip_jumps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.h"
#include "engine/passes/flip_lanes.h"

namespace strata {
namespace {

// Below so many standard errors a jump is not seen.
constexpr double seen = 2;

std::size_t unit_called(const Prices& prices, const std::string& name) {
  const auto found = std::ranges::find(prices.units, name, &PricedUnit::name);
  if (found == prices.units.end()) fail(Fault::bug, "{}: was tried alone, but has no price", name);
  return static_cast<std::size_t>(found - prices.units.begin());
}

// Mean over the tokens of what windows differ by, and its error: windows are independent, tokens of one are not.
Price mean_of(const std::vector<double>& differences, const std::vector<std::int64_t>& tokens) {
  const auto all = static_cast<double>(std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0}));
  const double mean = std::accumulate(differences.begin(), differences.end(), 0.0) / all;
  const auto count = static_cast<double>(differences.size());
  if (count < 2) return {mean, std::numeric_limits<double>::infinity()};
  double squares = 0;
  for (std::size_t w = 0; w < differences.size(); ++w) {
    const double off = differences[w] - mean * static_cast<double>(tokens[w]);
    squares += off * off;
  }
  return {mean, std::sqrt(squares * count / (count - 1)) / all};
}

// A unit that was tried, before those that are not seen are pooled.
struct Tried {
  std::size_t unit = 0, option = 0, together = 1;
  double root = 0;  // of its price
  Price jump;
};

std::vector<Tried> tried_in(const FlipDivergence& lane, const Prices& prices, const Menu& menu,
                            const std::vector<std::int64_t>& tokens, const PriceOfWindows& price_of) {
  std::vector<Tried> units;
  std::vector<double> differences = lane.sums;
  double sum = 0;
  for (const std::string& name : lane.units) {
    const std::size_t u = unit_called(prices, name), option = smallest_encoding(menu.units[u]);
    const std::vector<double> mine = price_of(u, option);
    if (mine.size() < differences.size() || tokens.size() != differences.size())
      fail(Fault::bug, "{}: {} windows have prices, {} divergences", name, mine.size(), differences.size());
    for (std::size_t w = 0; w < differences.size(); ++w) differences[w] -= mine[w];
    const double cost = prices.units[u].options[option].output.cost;
    units.push_back({.unit = u, .option = option, .together = lane.units.size(), .root = std::sqrt(cost), .jump = {}});
    sum += cost;
  }
  const Price all = mean_of(differences, tokens);
  for (Tried& one : units) {
    const double share = sum > 0 ? one.root / std::sqrt(sum) : 1 / std::sqrt(static_cast<double>(units.size()));
    one.jump = {all.cost * share, all.standard_error * share};
  }
  return units;
}

// Jump for each root of price, of all units of a kind.
struct OfKind {
  double jumps = 0, roots = 0, variance = 0;

  Price of(double root) const {
    if (roots <= 0) return {0, 0};
    return {std::max(0.0, jumps / roots) * root, std::sqrt(variance) / roots * root};
  }
};

}  // namespace

void set_jumps(Prices& prices, const Menu& menu, const FlipDivergences& flips, const PriceOfWindows& price_of) {
  prices.flip_tokens = std::accumulate(flips.tokens.begin(), flips.tokens.end(), std::int64_t{0});
  std::vector<Tried> all;
  std::map<std::string_view, OfKind> kinds;
  for (const FlipDivergence& lane : flips.lanes)
    for (const Tried& one : tried_in(lane, prices, menu, flips.tokens, price_of)) {
      OfKind& kind = kinds[prices.units[one.unit].kind];
      kind.jumps += one.jump.cost;
      kind.roots += one.root;
      kind.variance += one.jump.standard_error * one.jump.standard_error;
      all.push_back(one);
    }
  for (const Tried& one : all) {
    PricedUnit& unit = prices.units[one.unit];
    const bool pooled = !(one.jump.cost >= seen * one.jump.standard_error);
    const Price jump = pooled ? kinds[unit.kind].of(one.root) : one.jump;
    unit.jump = {.format = unit.options[one.option].format,
                 .nats = jump.cost,
                 .standard_error = jump.standard_error,
                 .pooled = pooled,
                 .together = one.together};
  }
}

}  // namespace strata
