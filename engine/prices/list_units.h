// Prices of a model before anything is measured: its units, their options and bytes, and why others are none.
#pragma once

#include "engine/plan/menu.h"
#include "engine/prices/prices.h"

namespace strata {

// `assignment`: of the Linears that no unit has; `request` is what it was made from.
Prices list_units(const OpenModel& model, const Menu& menu, const AssignmentRequest& request,
                  const Assignment& assignment);

}  // namespace strata
