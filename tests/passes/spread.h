// A fact of the first sweep: how far the largest input of each Linear is from the usual one.
#pragma once

#include <map>
#include <string>

#include "engine/graph/fact.h"

namespace strata::test {

using Spread = std::map<std::string, double>;  // by module
extern const Keeping spread_keeping;

inline constexpr Fact<Spread> spread{{.name = "spread", .life = Life::run, .keeping = &spread_keeping}};

// Runs that name no format leave the choice to these passes.
inline constexpr const char* formats_of_choice[] = {"NVFP4", "FP8_DYNAMIC"};

}  // namespace strata::test
