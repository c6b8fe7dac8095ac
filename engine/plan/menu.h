// What a run may choose between: the units of a model, and for each the number formats of the menu that it may have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/plan/assignment.h"

namespace strata {

struct MenuOption {
  const NumberFormat* format = nullptr;  // as it is written: KEEP where the menu's BF16 finds the source stored so
  std::uint64_t bytes = 0;               // of all tensors of all members, exactly as written
  bool source = false;                   // the values are those of the source: it costs nothing
};

// Linears that must share a format.
struct MenuUnit {
  std::size_t visit = 0;  // of OpenModel::visits
  std::vector<const LinearSpec*> members;
  std::uint64_t parameters = 0;
  std::vector<MenuOption> options;  // in the order of the menu; at least two, or there is nothing to choose
};

struct Menu {
  std::vector<MenuUnit> units;   // in the order of visits
  std::uint64_t parameters = 0;  // of all units: what bits per parameter are counted over
  std::uint64_t smallest = 0;    // bytes of all units, each in its smallest option
  std::uint64_t largest = 0;

  // Bytes that `bits` per parameter leave for the units, rounded down.
  std::uint64_t budget(double bits) const;
  double bits(std::uint64_t bytes) const;
};

// `request` says what is kept whatever the menu (--ignore), its scheme and its file do not count. A format is an option
// of a unit where assign_formats() gives it to all members: shapes, siblings, experts, tied heads and what runtimes
// load are judged there alone. Units with fewer than two options are left out: they become what any of the schemes
// makes of them. Error{usage} when `formats` is empty or names one twice, and as assign_formats() does for each of
// them.
Menu plan_menu(const OpenModel& model, const AssignmentRequest& request, const AssignmentContext& context,
               std::span<const NumberFormat* const> formats);

// Bytes that are left for the units, where the other tensors of the output take `others`. 0 when those alone are more
// than --target-size.
std::uint64_t units_budget(const MixedRequest& asked, std::uint64_t parameters, std::uint64_t others);

// Bytes of the output's tensors that belong to no unit. `assignment`: of all other Linears.
std::uint64_t other_tensor_bytes(const OpenModel& model, const Menu& menu, const Assignment& assignment);

}  // namespace strata
