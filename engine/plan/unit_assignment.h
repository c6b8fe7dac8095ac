// What becomes of the Linears of one unit, which must share a format: encoded, copied, or kept as they are.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/assignment.h"
#include "engine/plan/copies.h"

namespace strata {

class UnitAssignment {
 public:
  // Changes `assignment`, which holds what is asked of every Linear. `of_menu`: it is one format of several, so that a
  // unit without codes to copy is kept where only copies are asked for.
  UnitAssignment(const OpenModel& model, bool strict, bool of_menu, Assignment& assignment)
      : model_(model), copies_(model), strict_(strict), of_menu_(of_menu), assignment_(assignment) {}

  void settle(const std::vector<const LinearSpec*>& unit);

 private:
  const NumberFormat& common_format(const std::vector<const LinearSpec*>& unit) const;
  void require_stored(const std::vector<const LinearSpec*>& unit, const NumberFormat& asked,
                      const UnitCopy& copy) const;
  void keep(const std::vector<const LinearSpec*>& unit, const UnitCopy& copy);
  void decide(const LinearSpec& linear, std::string text);

  const OpenModel& model_;
  Copies copies_;
  const bool strict_, of_menu_;
  Assignment& assignment_;
};

// Tensors of the source that no output takes over are a decision, and a leftover of its config.json.
void note_dropped(const OpenModel& model, Assignment& assignment);

}  // namespace strata
