#include "engine/prices/smallest_budget.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/plan/menu.h"

namespace strata {
namespace {

// "NVFP4,BF16": those of all units, in order of first appearance.
std::string formats_of(const Prices& prices) {
  std::vector<std::string_view> names;
  std::string text;
  for (const PricedUnit& unit : prices.units)
    for (const PricedOption& option : unit.options) {
      if (std::ranges::find(names, option.format->name) != names.end()) continue;
      names.push_back(option.format->name);
      text.append(text.empty() ? "" : ",").append(option.format->name);
    }
  return text;
}

// The three whose smallest option is the largest: "a (12 bytes), b (8), c (8)".
std::string heaviest(const Prices& prices) {
  std::vector<std::pair<std::uint64_t, std::string_view>> units;
  for (const PricedUnit& unit : prices.units) units.emplace_back(unit.options[smallest_option(unit)].bytes, unit.name);
  std::ranges::stable_sort(units, std::ranges::greater(), &std::pair<std::uint64_t, std::string_view>::first);
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, units.size()); ++i)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", units[i].second, units[i].first);
  return text;
}

}  // namespace

void refuse_budget(const Prices& prices, const MixedRequest& asked) {
  const std::uint64_t smallest = prices.smallest();
  if (asked.size > 0) {
    fail(Fault::usage,
         "{}: the smallest that {} give is {} bytes of tensors, {} of them for {} units, most for {}, and {} for what "
         "is not chosen; say --target-size {}",
         asked.budget_text(), formats_of(prices), smallest + prices.other_bytes, smallest, prices.units.size(),
         heaviest(prices), prices.other_bytes, smallest + prices.other_bytes);
  }
  // Rounded up: what is named works.
  double least = std::ceil(prices.bits(smallest) * 1000) / 1000;
  while (units_budget({.bits = least}, prices.parameters(), 0) < smallest) least += 0.001;
  fail(Fault::usage,
       "{}: the smallest that {} give {} units is {:.3f} bits per parameter, most bytes for {}; say {} {:.3f}",
       asked.pareto ? fmt::format("--pareto {}", asked.pareto->text()) : asked.budget_text(), formats_of(prices),
       prices.units.size(), prices.bits(smallest), heaviest(prices), asked.pareto ? "a LOW of" : "-b", least);
}

}  // namespace strata
