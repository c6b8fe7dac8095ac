// pareto.csv of a run that has measured its budgets.
#pragma once

#include <span>

#include "engine/passes/frontier_facts.h"

namespace strata {

class Desk;

// In the work folder, from the prices there. `points`: in the order of the frontier's lanes. Error{io} where the prices
// are not those that the frontier was solved by.
void write_pareto_table(const Desk& desk, const Frontier& frontier, std::span<const MeasuredPoint> points);

}  // namespace strata
