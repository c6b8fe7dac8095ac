#include "engine/passes/candidates.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/passes/probe_menu.h"

namespace strata {

std::vector<Candidate> candidates_of(const PassQuestion& question) {
  using Weights = Candidate::Weights;
  std::vector<Candidate> all = {{.name = "source"},
                                {.name = "as served", .weights = Weights::chosen, .inputs = true},
                                {.name = "weights only", .weights = Weights::chosen},
                                {.name = "inputs only", .inputs = true}};
  for (const NumberFormat* format : uniform_formats(question))
    all.push_back({.name = fmt::format("{} everywhere", format->name),
                   .weights = Weights::uniform,
                   .inputs = true,
                   .format = format});
  return all;
}

std::vector<const NumberFormat*> uniform_formats(const PassQuestion& question) {
  const Menu menu = probe_menu(question);
  std::vector<const NumberFormat*> formats;
  for (const std::string& name : question.request.mixed.formats) {
    const NumberFormat& format = require_number_format(name);
    const bool has_units = std::ranges::any_of(menu.units, [&](const MenuUnit& unit) {
      return std::ranges::find(unit.options, &format, &MenuOption::format) != unit.options.end();
    });
    if (format.quantizes() && has_units) formats.push_back(&format);
  }
  return formats;
}

std::optional<std::size_t> option_of(const Candidate& candidate, const MenuUnit& unit) {
  if (candidate.format == nullptr) return std::nullopt;
  for (std::size_t i = 0; i < unit.options.size(); ++i)
    if (unit.options[i].format == candidate.format) return i;
  return std::nullopt;
}

std::uint64_t candidate_bytes(const Candidate& candidate, const Menu& menu, const Assignment& assignment) {
  std::uint64_t bytes = 0;
  for (const MenuUnit& unit : menu.units) {
    const std::optional<std::size_t> taken = option_of(candidate, unit);
    for (std::size_t i = 0; i < unit.options.size(); ++i)
      if (taken ? *taken == i : unit.options[i].format == &assignment.of(*unit.members.front()))
        bytes += unit.options[i].bytes;
  }
  return bytes;
}

}  // namespace strata
