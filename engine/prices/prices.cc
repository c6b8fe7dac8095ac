#include "engine/prices/prices.h"

#include <algorithm>

namespace strata {

std::uint64_t Prices::parameters() const {
  std::uint64_t sum = 0;
  for (const PricedUnit& unit : units) sum += unit.parameters;
  return sum;
}

std::uint64_t Prices::smallest() const {
  std::uint64_t sum = 0;
  for (const PricedUnit& unit : units) sum += unit.options[smallest_option(unit)].bytes;
  return sum;
}

std::size_t smallest_option(const PricedUnit& unit) {
  return static_cast<std::size_t>(std::ranges::min_element(unit.options, {}, &PricedOption::bytes) -
                                  unit.options.begin());
}

}  // namespace strata
