// What was measured beside what was predicted, for the end of a run.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/prices/allocation.h"

namespace strata {

// "key: value" lines from measured.json at `path`: of what was chosen, and of each format everywhere. Empty where the
// file is not there or is none.
std::vector<std::pair<std::string, std::string>> measured_facts(const Prices& prices, const Allocation& chosen,
                                                                const std::string& path);

}  // namespace strata
