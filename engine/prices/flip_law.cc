#include "engine/prices/flip_law.h"

#include <algorithm>
#include <cmath>

namespace strata {

double jump_of(const PricedUnit& unit, std::size_t option, double errors) {
  if (!unit.jump) return 0;
  const auto low = std::ranges::find(unit.options, unit.jump->format, &PricedOption::format);
  if (low == unit.options.end() || low->output.cost <= 0) return 0;
  const double more = errors > 0 ? errors * unit.jump->standard_error : 0;  // 0 times infinity is nothing here
  return std::max(0.0, unit.jump->nats + more) * std::sqrt(unit.options[option].output.cost / low->output.cost);
}

bool has_jumps(const Prices& prices) {
  return std::ranges::any_of(prices.units, [](const PricedUnit& unit) { return unit.jump && unit.jump->nats > 0; });
}

}  // namespace strata
