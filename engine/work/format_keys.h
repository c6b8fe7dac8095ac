// What an assignment and a rounding method are called in keys.
#pragma once

#include <string>

#include "engine/plan/assignment.h"
#include "engine/rounding/rounding.h"

namespace strata {

// A hash over the Linears of a visit: name, format and its version, and whether codes are copied.
std::string formats_key(const Assignment& assignment, const Visit& visit);

// The same over all visits: two assignments may have as many Linears of each format.
std::string assignment_key(const Assignment& assignment, const OpenModel& model);

// "scale-search 1 search": whoever changes what a method gives changes its version.
std::string method_key(const RoundingMethod& method, ScaleRule rule);

std::string_view rule_name(ScaleRule rule);

}  // namespace strata
