#include "engine/prices/unseen.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace strata {
namespace {

// The expert that a Linear belongs to: "model.layers.2.mlp.experts" and 3; nothing where it is none's.
struct Expert {
  std::string_view list;
  int number = 0;

  bool operator==(const Expert&) const = default;
};

std::optional<Expert> expert_of(std::string_view module) {
  const std::string_view expert = module.substr(0, module.rfind('.'));
  const std::size_t dot = expert.rfind('.');
  Expert found;
  if (dot == std::string_view::npos || !expert.substr(0, dot).ends_with(".experts")) return std::nullopt;
  found.list = expert.substr(0, dot);
  const auto [end, error] = std::from_chars(expert.data() + dot + 1, expert.data() + expert.size(), found.number);
  if (error != std::errc() || end != expert.data() + expert.size()) return std::nullopt;
  return found;
}

}  // namespace

std::vector<std::size_t> set_unseen_aside(Prices& prices, std::span<const char> unseen) {
  std::vector<std::size_t> kept, place(prices.units.size(), PricedLinear::not_chosen);
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    const PricedUnit& unit = prices.units[u];
    if (unseen[u] == 0 || unit.tied) {
      place[u] = kept.size();
      kept.push_back(u);
      continue;
    }
    prices.unseen_bytes += unit.options[smallest_option(unit)].bytes;
    prices.other_bytes += unit.options[smallest_option(unit)].bytes;
  }
  for (PricedLinear& linear : prices.linears) {
    if (linear.unit == PricedLinear::not_chosen) continue;
    const PricedUnit& unit = prices.units[linear.unit];
    linear.unit = place[linear.unit];
    if (linear.unit != PricedLinear::not_chosen) continue;
    linear.format = unit.options[smallest_option(unit)].format;
    linear.why = "no token of the data reached it: the smallest format by rule";
  }
  std::vector<PricedUnit> units;
  units.reserve(kept.size());
  for (const std::size_t u : kept) units.push_back(std::move(prices.units[u]));
  prices.units = std::move(units);
  return kept;
}

std::string names_of_experts(std::span<const LinearSpec* const> linears) {
  std::vector<std::pair<std::string_view, std::vector<std::string>>> lists;
  std::vector<std::string> others;
  std::optional<Expert> first, last;  // of a row of experts
  const auto close = [&] {
    if (!first) return;
    if (lists.empty() || lists.back().first != first->list) lists.push_back({first->list, {}});
    lists.back().second.push_back(first->number == last->number ? std::to_string(first->number)
                                                                : fmt::format("{}-{}", first->number, last->number));
    first.reset();
  };
  for (const LinearSpec* linear : linears) {
    const std::optional<Expert> expert = expert_of(linear->module);
    if (!expert) {
      others.push_back(linear->module);
      continue;
    }
    if (first && expert->list == last->list && expert->number - last->number <= 1) {
      last = expert;
      continue;
    }
    close();
    first = last = expert;
  }
  close();
  for (const auto& [list, numbers] : lists) others.push_back(fmt::format("{} {}", list, fmt::join(numbers, ", ")));
  return fmt::format("{}", fmt::join(others, ", "));
}

}  // namespace strata
