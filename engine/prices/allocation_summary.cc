#include "engine/prices/allocation_summary.h"

#include <algorithm>
#include <numeric>

#include "engine/plan/assignment_file.h"
#include "engine/plan/tensor_kind.h"

namespace strata {
namespace {

const NumberFormat& format_of(const Prices& prices, const Allocation& allocation, const PricedLinear& linear) {
  if (linear.unit == PricedLinear::not_chosen) return *linear.format;
  return *prices.units[linear.unit].options[allocation.option[linear.unit]].format;
}

std::string sensitive_text(const PricedUnit& unit, PriceRule rule, std::uint32_t chosen) {
  const PricedOption& smallest = unit.options[smallest_option(unit)];
  return fmt::format("{}: {:.3g} in {}, is {}", unit.name, smallest.by(rule).cost, smallest.format->name,
                     unit.options[chosen].format->name);
}

}  // namespace

std::vector<KindFormats> formats_by_kind(const Prices& prices, const Allocation& allocation) {
  std::vector<KindFormats> kinds;
  kinds.reserve(tensor_kinds.size());
  for (const std::string_view kind : tensor_kinds) kinds.push_back({kind, {}});
  for (const PricedLinear& linear : prices.linears) {
    auto& formats = std::ranges::find(kinds, tensor_kind(linear.module + ".weight"), &KindFormats::kind)->formats;
    const std::string_view name = format_of(prices, allocation, linear).name;
    const auto known = std::ranges::find(formats, name, &std::pair<std::string_view, std::size_t>::first);
    known == formats.end() ? void(formats.emplace_back(name, 1)) : void(++known->second);
  }
  std::erase_if(kinds, [](const KindFormats& kind) { return kind.formats.empty(); });
  return kinds;
}

std::vector<std::size_t> most_sensitive(const Prices& prices, PriceRule rule, std::size_t most) {
  std::vector<std::size_t> order(prices.units.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater(), [&](std::size_t u) {
    const PricedUnit& unit = prices.units[u];
    return unit.options[smallest_option(unit)].by(rule).cost;
  });
  order.resize(std::min(most, order.size()));
  return order;
}

std::vector<std::pair<std::string, std::string>> allocation_facts(const Prices& prices, const Allocation& allocation,
                                                                  const MixedRequest& asked) {
  std::vector<std::pair<std::string, std::string>> facts;
  if (asked.has_budget())
    facts.emplace_back(asked.size > 0 ? "tensor bytes asked" : "bits asked",
                       asked.size > 0 ? std::to_string(asked.size) : fmt::format("{:g}", asked.bits));
  facts.emplace_back("bits reached", fmt::format("{:.6f}", prices.bits(allocation.bytes)));
  if (asked.has_budget()) facts.emplace_back("budget of the units", std::to_string(allocation.budget));
  facts.emplace_back("bytes of the units", std::to_string(allocation.bytes));
  facts.emplace_back("tensor bytes", std::to_string(allocation.bytes + prices.other_bytes));
  if (prices.unseen_bytes > 0) facts.emplace_back("of it without tokens", std::to_string(prices.unseen_bytes));
  facts.emplace_back("predicted KL", fmt::format("{:.4g}", allocation.cost));
  if (allocation.jumps > 0)
    facts.emplace_back("of it where tokens change experts", fmt::format("{:.3g}", allocation.jumps));
  facts.emplace_back("standard error", fmt::format("{:.2g}", allocation.standard_error));
  if (asked.has_budget()) facts.emplace_back("gap to the best", fmt::format("{:.2g}", allocation.gap));
  for (const KindFormats& kind : formats_by_kind(prices, allocation)) {
    std::string text;
    for (const auto& [name, count] : kind.formats)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
    facts.emplace_back(fmt::format("{} Linears", kind.kind), text);
  }
  int place = 0;
  for (const std::size_t u : most_sensitive(prices, asked.price))
    facts.emplace_back(fmt::format("sensitive {}", ++place),
                       sensitive_text(prices.units[u], asked.price, allocation.option[u]));
  return facts;
}

std::string assignment_json(const Prices& prices, const Allocation& allocation) {
  std::vector<NamedFormat> linears;
  for (const PricedLinear& linear : prices.linears) {
    NamedFormat& mine = linears.emplace_back(NamedFormat{linear.module, &format_of(prices, allocation, linear)});
    mine.why = linear.why;
    if (linear.unit == PricedLinear::not_chosen) continue;
    const PricedUnit& unit = prices.units[linear.unit];
    const Price& price = unit.options[allocation.option[linear.unit]].output;
    mine.unit = unit.name;
    mine.cost = price.cost;
    mine.standard_error = price.standard_error;
    mine.why = "chosen";
  }
  return assignment_json(linears, prices.made_from.hash());
}

}  // namespace strata
