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
  for (const std::vector<std::size_t>& choice : choices()) {
    std::vector<std::uint64_t> bytes(units[choice.front()].options.size(), 0);
    for (const std::size_t unit : choice)
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] += units[unit].options[i].bytes;
    sum += *std::ranges::min_element(bytes);
  }
  return sum;
}

std::vector<std::vector<std::size_t>> Prices::choices() const {
  std::vector<std::vector<std::size_t>> all;
  std::optional<std::size_t> tied;
  for (std::size_t u = 0; u < units.size(); ++u) {
    if (units[u].tied && tied) {
      all[*tied].push_back(u);
      continue;
    }
    if (units[u].tied) tied = all.size();
    all.push_back({u});
  }
  return all;
}

std::size_t smallest_option(const PricedUnit& unit) {
  return static_cast<std::size_t>(std::ranges::min_element(unit.options, {}, &PricedOption::bytes) -
                                  unit.options.begin());
}

}  // namespace strata
