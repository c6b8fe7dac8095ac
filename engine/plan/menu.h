// What a run may choose between: the units of a model, and for each the number formats of the menu that it may have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/plan/assignment.h"
#include "engine/plan/menu_rules.h"

namespace strata {

struct MenuOption {
  const NumberFormat* format = nullptr;  // as it is written: KEEP where the menu's BF16 finds the source stored so
  std::uint64_t bytes = 0;               // of all tensors of all members, exactly as written
  bool source = false;                   // the values are those of the source: it costs nothing

  // Whether a weight is encoded for it. What copies the source's codes costs what its inputs lose, if anything.
  bool encodes() const { return !source && !format->source_only; }
};

// Linears that must share a format.
struct MenuUnit {
  std::size_t visit = 0;  // of OpenModel::visits
  std::vector<const LinearSpec*> members;
  std::uint64_t parameters = 0;
  std::vector<MenuOption> options;  // in the order of the menu
  bool tied = false;                // has the formats of all others that are, in their order, and gets the same one
};

struct Menu {
  std::vector<MenuUnit> units;   // in the order of visits; each has two options or more
  std::vector<MenuUnit> single;  // those that have one alone, and become that; they count nowhere below
  std::uint64_t parameters = 0;  // of all units: what bits per parameter are counted over
  std::uint64_t smallest = 0;    // bytes of all units, each in its smallest option
  std::uint64_t largest = 0;
  std::vector<std::pair<std::string, std::string>> decisions;  // subject, what is legal for which units and why not

  // Bytes that `bits` per parameter leave for the units, rounded down.
  std::uint64_t budget(double bits) const;
  double bits(std::uint64_t bytes) const;
};

// `request` says what is kept whatever the menu (--ignore, --override), its scheme and its file do not count. A format
// is legal for a unit where assign_formats() gives it to all members, or copies of it in another form (shapes,
// siblings, experts and tied heads are judged there alone), and `rules` take it. Error{usage} when `formats` is empty
// or names one twice, when none of them is legal for a unit, and as assign_formats() does for each of them.
Menu plan_menu(const OpenModel& model, const AssignmentRequest& request, const AssignmentContext& context,
               std::span<const NumberFormat* const> formats, const MenuRules& rules = {});

// Bytes that are left for the units, where the other tensors of the output take `others`. 0 when those alone are more
// than --target-size.
std::uint64_t units_budget(const MixedRequest& asked, std::uint64_t parameters, std::uint64_t others);

// Bytes of the output's tensors that belong to no unit. `assignment`: of all other Linears.
std::uint64_t other_tensor_bytes(const OpenModel& model, const Menu& menu, const Assignment& assignment);

}  // namespace strata
