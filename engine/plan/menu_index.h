// Which unit of a menu a Linear belongs to.
#pragma once

#include <vector>

#include "engine/plan/menu.h"

namespace strata {

// Refers to the menu, which outlives it.
class MenuIndex {
 public:
  MenuIndex(const OpenModel& model, const Menu& menu) : units_(model.linears.size(), nullptr) {
    for (const MenuUnit& unit : menu.units)
      for (const LinearSpec* linear : unit.members) units_[linear->index] = &unit;
  }

  // nullptr for what is not chosen.
  const MenuUnit* unit_of(const LinearSpec& linear) const { return units_.at(linear.index); }

 private:
  std::vector<const MenuUnit*> units_;
};

}  // namespace strata
