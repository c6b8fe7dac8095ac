#include "engine/prices/edited_assignment.h"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"

namespace strata {
namespace {

// BF16 finds a source that is BF16 as it is: there the option is called KEEP.
bool is_same(const PricedUnit& unit, const PricedOption& option, const NumberFormat& format) {
  if (option.format == &format) return true;
  const bool named = std::ranges::find(unit.options, &format, &PricedOption::format) != unit.options.end();
  return !named && option.format->verbatim && !format.quantizes();
}

std::string options_text(const PricedUnit& unit) {
  std::string text;
  for (const PricedOption& option : unit.options) text.append(text.empty() ? "" : ", ").append(option.format->name);
  return text;
}

void require_known(const Prices& prices, const AssignmentFile& file) {
  std::vector<std::string> modules;
  for (const PricedLinear& linear : prices.linears) modules.push_back(linear.module);
  const std::unordered_set<std::string_view> known(modules.begin(), modules.end());
  const std::string* const other = file.first_other([&](const std::string& module, const NumberFormat& format) {
    return known.contains(module) || (module == "lm_head" && format.verbatim);  // tied: kept with the embedding
  });
  if (other != nullptr)
    fail(Fault::input, "{}: {} is none of the {} Linears that were priced{}", file.where(*other), *other,
         modules.size(), did_you_mean(*other, modules));
}

void require_fixed(const AssignmentFile& file, const PricedLinear& linear) {
  const NumberFormat* const asked = file.format_of(linear.module);
  if (asked == nullptr || asked == linear.format || (linear.format->verbatim && !asked->quantizes())) return;
  fail(Fault::input, "{}: {} is {} in the run that priced it ({}), not {}; give it that, or price again",
       file.where(linear.module), linear.module, linear.format->name, linear.why, asked->name);
}

std::uint32_t option_of(const PricedUnit& unit, const PricedLinear& linear, const AssignmentFile& file) {
  const NumberFormat& asked = *file.format_of(linear.module);
  for (std::uint32_t i = 0; i < unit.options.size(); ++i)
    if (is_same(unit, unit.options[i], asked)) return i;
  fail(Fault::input,
       "{}: {} cannot be {}: the run that priced it chose between {}; give one of these, or price again "
       "with --formats",
       file.where(linear.module), linear.module, asked.name, options_text(unit));
}

void require_complete(const Prices& prices, const AssignmentFile& file) {
  const auto missing = [&](const PricedLinear& linear) {
    return linear.unit != PricedLinear::not_chosen && file.format_of(linear.module) == nullptr;
  };
  const auto first = std::ranges::find_if(prices.linears, missing);
  if (first == prices.linears.end()) return;
  fail(Fault::input,
       "{}: leaves out {} Linears that are chosen for ({} is the first); edit a copy of assignment.json, which names "
       "all",
       file.path(), std::ranges::count_if(prices.linears, missing), first->module);
}

// What the run that priced them gave one format, an edit must.
void require_tied(const Prices& prices, const AssignmentFile& file, const std::vector<std::uint32_t>& option) {
  std::optional<std::size_t> first;
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    if (!prices.units[u].tied) continue;
    if (!first) first = u;
    if (option[u] != option[*first])
      fail(Fault::input,
           "{}: {} is {} but {} is {}; with --runtime transformers all experts have one format, give all one",
           file.where(prices.units[u].name), prices.units[u].name, file.format_of(prices.units[u].name)->name,
           prices.units[*first].name, file.format_of(prices.units[*first].name)->name);
  }
}

}  // namespace

Allocation edited_allocation(const Prices& prices, const AssignmentFile& file) {
  require_known(prices, file);
  require_complete(prices, file);
  std::vector<const PricedLinear*> first(prices.units.size(), nullptr);  // of each unit
  std::vector<std::uint32_t> option(prices.units.size(), 0);
  for (const PricedLinear& linear : prices.linears) {
    if (linear.unit == PricedLinear::not_chosen) {
      require_fixed(file, linear);
      continue;
    }
    const PricedUnit& unit = prices.units[linear.unit];
    const std::uint32_t mine = option_of(unit, linear, file);
    if (first[linear.unit] == nullptr) {
      first[linear.unit] = &linear;
      option[linear.unit] = mine;
    } else if (option[linear.unit] != mine) {
      const PricedLinear& other = *first[linear.unit];
      fail(Fault::input,
           "{}: {} is {} but {} {} {}; they are served as one matrix, give all {} of their unit one format",
           file.where(linear.module), linear.module, file.format_of(linear.module)->name, other.module, "is",
           file.format_of(other.module)->name, unit.linears);
    }
  }
  require_tied(prices, file, option);
  return allocation_of(prices, std::move(option));
}

}  // namespace strata
