// Prices and choices as comma-separated tables, for spreadsheets: docs/records.md has the columns.
#pragma once

#include <span>
#include <string>

#include "engine/prices/frontier.h"

namespace strata {

std::string costs_csv(const Prices& prices, const Allocation& allocation);  // a line an option
std::string pareto_csv(const Prices& prices, std::span<const FrontierPoint> points, PriceRule rule);  // a line a budget

}  // namespace strata
