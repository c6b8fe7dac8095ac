#include "engine/prices/flip_law.h"

#include <fmt/format.h>

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

std::string jumps_text(const Prices& prices) {
  if (prices.flip_tokens == 0) return "";
  std::size_t tried = 0, pooled = 0;
  double squares = 0, lanes = 0;
  for (const PricedUnit& unit : prices.units)
    if (unit.jump) {
      ++tried;
      pooled += unit.jump->pooled ? 1 : 0;
      lanes += 1 / static_cast<double>(unit.jump->together);
      squares += unit.jump->nats * unit.jump->nats;
    }
  return fmt::format(
      "{} of {} units tried in {:.0f} lanes over {} tokens; together they add {:.3g} nats a token beyond their prices "
      "where tokens change experts; {} whose own share is below two standard errors have that of their kind",
      tried, prices.units.size(), lanes, prices.flip_tokens, std::sqrt(squares), pooled);
}

}  // namespace strata
