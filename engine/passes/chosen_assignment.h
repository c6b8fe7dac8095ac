// What an allocation makes of the model's Linears.
#pragma once

#include "engine/graph/pass_question.h"
#include "engine/plan/menu.h"
#include "engine/prices/allocation.h"

namespace strata {

// With the decision that tells it, and where the data were too few to choose by, that: Error{input} with --strict.
// Keeps costs.csv in the work folder.
Assignment chosen_assignment(const PassQuestion& question, const Menu& menu, const Prices& prices,
                             const Allocation& chosen);

}  // namespace strata
