// What an assignment.json that somebody has edited comes to, by the prices of a run. Needs no model.
#pragma once

#include "engine/plan/assignment_file.h"
#include "engine/prices/allocation.h"

namespace strata {

// Of a file that names every Linear of the prices which is chosen for; others may be left out. Error{input} that begins
// with file and line: a name that is no Linear of the prices, a unit whose Linears differ, a format that the run which
// priced them did not choose between.
Allocation edited_allocation(const Prices& prices, const AssignmentFile& file);

}  // namespace strata
