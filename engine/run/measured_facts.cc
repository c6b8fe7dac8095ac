#include "engine/run/measured_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"

namespace strata {
namespace {

using Json = nlohmann::json;

struct Found {
  std::string name;
  double kl = 0, error = 0;
};

std::optional<Found> found_in(const Json& candidate) {
  const auto name = candidate.find("name"), kl = candidate.find("kl_mean"), error = candidate.find("kl_standard_error");
  if (name == candidate.end() || !name->is_string() || kl == candidate.end() || !kl->is_number()) return std::nullopt;
  return Found{name->get<std::string>(), kl->get<double>(),
               error != candidate.end() && error->is_number() ? error->get<double>() : 0};
}

// Every unit in the format, and where that is none of its options as it was chosen: as it is measured.
std::optional<Allocation> everywhere(const Prices& prices, const Allocation& chosen, std::string_view name) {
  constexpr std::string_view ending = " everywhere";
  if (!name.ends_with(ending)) return std::nullopt;
  name.remove_suffix(ending.size());
  std::vector<std::uint32_t> option = chosen.option;
  for (std::size_t u = 0; u < option.size(); ++u)
    for (std::size_t i = 0; i < prices.units[u].options.size(); ++i)
      if (prices.units[u].options[i].format->name == name) option[u] = static_cast<std::uint32_t>(i);
  return allocation_of(prices, std::move(option));
}

std::string text_of(const Found& found, const Allocation& predicted) {
  std::string text = fmt::format("{:.4g} +- {:.2g}, predicted {:.4g}", found.kl, found.error, predicted.cost);
  if (found.kl > 0) text += fmt::format(", {:.2f} of it", predicted.cost / found.kl);
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> measured_facts(const Prices& prices, const Allocation& chosen,
                                                                const std::string& path) {
  if (!is_regular_file(path)) return {};
  const Json json = Json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  const auto candidates = json.is_object() ? json.find("candidates") : json.end();
  if (!json.is_object() || candidates == json.end() || !candidates->is_array()) return {};
  std::vector<std::pair<std::string, std::string>> facts;
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    const std::optional<Found> found = found_in((*candidates)[i]);
    if (!found) continue;
    if (i == 0) facts.emplace_back("measured KL", text_of(*found, chosen));
    if (const std::optional<Allocation> uniform = everywhere(prices, chosen, found->name))
      facts.emplace_back("KL of " + found->name,
                         text_of(*found, *uniform) + fmt::format(", {:.4f} bits", prices.bits(uniform->bytes)));
  }
  return facts;
}

}  // namespace strata
