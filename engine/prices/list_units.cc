#include "engine/prices/list_units.h"

#include "engine/plan/menu_index.h"
#include "engine/plan/pattern_rules.h"
#include "engine/plan/tensor_kind.h"

namespace strata {
namespace {

// Why there is nothing to choose for a Linear.
std::string why_not_chosen(const LinearSpec& linear, const PatternRules& rules) {
  if (std::string rule = rules.of(linear); !rule.empty()) return rule;
  return linear.kind == LinearClass::quantize ? "no other of the formats is legal for it"
                                              : "kept unless it is asked for";
}

}  // namespace

Prices list_units(const OpenModel& model, const Menu& menu, const AssignmentRequest& request,
                  const Assignment& assignment) {
  Prices prices{.other_bytes = other_tensor_bytes(model, menu, assignment)};
  for (const MenuUnit& unit : menu.units) {
    const std::string& name = unit.members.front()->module;
    PricedUnit& mine = prices.units.emplace_back(PricedUnit{.name = name,
                                                            .visit = model.visits[unit.visit].name,
                                                            .kind = tensor_kind(name + ".weight"),
                                                            .linears = unit.members.size(),
                                                            .parameters = unit.parameters});
    mine.tied = unit.tied;
    for (const MenuOption& option : unit.options) mine.options.push_back({option.format, option.bytes, {}, {}});
  }
  const MenuIndex units(model, menu);
  const PatternRules rules(request);
  for (const Visit& visit : model.visits)
    for (const LinearSpec* linear : visit.linears) {
      PricedLinear& mine = prices.linears.emplace_back(PricedLinear{.module = linear->module});
      if (const MenuUnit* unit = units.unit_of(*linear); unit != nullptr) {
        mine.unit = static_cast<std::size_t>(unit - menu.units.data());
        continue;
      }
      mine.format = &assignment.of(*linear);
      mine.why = why_not_chosen(*linear, rules);
    }
  return prices;
}

}  // namespace strata
