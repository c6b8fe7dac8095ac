// Prices and choices as comma-separated tables, for spreadsheets: docs/records.md has the columns.
#pragma once

#include <span>
#include <string>

#include "engine/prices/frontier.h"
#include "engine/prices/measured_frontier.h"

namespace strata {

std::string costs_csv(const Prices& prices, const Allocation& allocation);  // a line an option
// A line a budget. `measured`: of the budgets that lead to it; empty where nothing was measured.
std::string pareto_csv(const Prices& prices, std::span<const FrontierPoint> points, PriceRule rule,
                       std::span<const MeasuredPoint> measured = {});

}  // namespace strata
