// An assignment for another budget, from what a run with a budget left in its work folder.
#pragma once

#include "engine/plan/assignment.h"
#include "engine/plan/request.h"

namespace strata {

// Formats as the prices in MixedRequest::from and the budget make them, or the edited file that is named instead.
// Error{mismatch} when they are of another source, Error{input} when they cannot be read, Error{usage} with the
// smallest budget when that is not met.
Assignment assignment_from_prices(const OpenModel& model, const QuantizeRequest& request);

}  // namespace strata
