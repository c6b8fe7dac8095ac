// Which passes a run is made of.
#pragma once

#include <vector>

#include "engine/graph/pass_type.h"

namespace strata {

// For plan_sweeps(). `calibrate`: the run learns from a dataset.
std::vector<const PassType*> passes_for(bool calibrate);

}  // namespace strata
