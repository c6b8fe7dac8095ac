#include "engine/passes/menu_lanes.h"

#include <algorithm>

#include "engine/passes/probe_menu.h"
#include "engine/sweep/pass.h"

namespace strata {
namespace {

// What is chosen for, and what a pattern of the request encodes.
Menu with_fixed(const PassQuestion& question, Menu menu) {
  const Assignment others = menu_assignment(question, menu);
  const MenuIndex chosen(question.model, menu);
  std::vector<MenuUnit> fixed;
  for (std::size_t v = 0; v < question.model.visits.size(); ++v)
    for (const std::vector<const LinearSpec*>& members : format_units(question.model.visits[v]))
      if (const LinearSpec& first = *members.front(); chosen.unit_of(first) == nullptr && !others.copies(first))
        fixed.push_back({.visit = v, .members = members, .options = {{.format = &others.of(first)}}});
  menu.units.insert(menu.units.end(), fixed.begin(), fixed.end());
  return menu;
}

std::size_t largest_option(const MenuUnit& unit) {
  return static_cast<std::size_t>(std::ranges::max_element(unit.options, {}, &MenuOption::bytes) -
                                  unit.options.begin());
}

}  // namespace

MenuLanes::MenuLanes(const PassQuestion& question)
    : menu_(probe_menu(question)),
      all_(with_fixed(question, menu_)),
      index_(question.model, all_),
      renders_(index_, probe_method(question), probe_rule(question), question.request.mixed.runtime) {}

void MenuLanes::take(const LinearSpec& linear, std::size_t option, LayerWeights& served) const {
  const MenuRenders::Served* const render = renders_.find(linear, option);
  if (render == nullptr) return;  // as the source has it
  served.serve(linear, render->weight);
  served.serve_input(linear, {index_.unit_of(linear)->options[option].format, render->input_scale});
}

LayerWeights MenuLanes::with(const Desk& desk, const LayerWeights& source,
                             std::span<const std::uint32_t> options) const {
  LayerWeights served = source.view();
  for (const LinearSpec* linear : desk.part().linears) {
    const MenuUnit* const unit = index_.unit_of(*linear);
    if (unit == nullptr) continue;
    const auto place = static_cast<std::size_t>(unit - all_.units.data());
    take(*linear, place < options.size() ? options[place] : 0, served);
  }
  return served;
}

std::vector<std::uint32_t> MenuLanes::all_in(const NumberFormat& format) const {
  std::vector<std::uint32_t> options;
  for (const MenuUnit& unit : menu_.units) {
    const auto found = std::ranges::find(unit.options, &format, &MenuOption::format);
    options.push_back(static_cast<std::uint32_t>(
        found == unit.options.end() ? largest_option(unit) : static_cast<std::size_t>(found - unit.options.begin())));
  }
  return options;
}

std::uint64_t MenuLanes::bytes(std::span<const std::uint32_t> options) const {
  std::uint64_t sum = 0;
  for (std::size_t u = 0; u < menu_.units.size(); ++u) sum += menu_.units[u].options[options[u]].bytes;
  return sum;
}

}  // namespace strata
