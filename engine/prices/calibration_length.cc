#include "engine/prices/calibration_length.h"

#include <algorithm>
#include <cmath>

namespace strata {
namespace {

constexpr double most_error = 0.5, most_share = 0.05;

// Of the option that costs most: those of one unit are measured by the same samples, and small ones are all noise.
double relative_error(const PricedUnit& unit, PriceRule rule) {
  const Price& price = std::ranges::max_element(unit.options, {}, [&](const PricedOption& option) {
                         return option.by(rule).cost;
                       })->by(rule);
  return price.cost > 0 ? price.standard_error / price.cost : 0;
}

}  // namespace

std::optional<ShortCalibration> short_calibration(const Prices& prices, const Allocation& allocation, PriceRule rule) {
  struct Unit {
    double error = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<Unit> units;
  for (std::size_t u = 0; u < prices.units.size(); ++u)
    units.push_back({relative_error(prices.units[u], rule), prices.units[u].options[allocation.option[u]].bytes});
  std::ranges::stable_sort(units, std::ranges::greater(), &Unit::error);
  ShortCalibration found{.all_units = prices.units.size(), .sequences = prices.sequences};
  std::uint64_t bytes = 0;
  for (const Unit& unit : units) {
    if (unit.error <= most_error) break;
    ++found.units;
    bytes += unit.bytes;
    const double share = static_cast<double>(bytes) / static_cast<double>(allocation.bytes);
    if (found.share <= most_share) found.error = unit.error;  // the first that is too much
    found.share = share;
  }
  if (found.share <= most_share) return std::nullopt;
  const double times = std::isfinite(found.error) ? std::pow(found.error / most_error, 2) : 0;
  found.needed = std::max<std::int64_t>(
      static_cast<std::int64_t>(std::ceil(static_cast<double>(found.sequences) * times)), found.sequences + 1);
  return found;
}

std::string ShortCalibration::text() const {
  return fmt::format(
      "{} windows are too few: prices of units with {:.1f} % of the bytes ({} of {}) have standard errors above {:.0f} "
      "% "
      "of themselves; --nsamples {} would do",
      sequences, 100 * share, units, all_units, 100 * most_error, needed);
}

}  // namespace strata
