// How long the sweeps of a planned run would take on this machine.
#pragma once

#include <vector>

#include "engine/graph/run_plan.h"
#include "engine/sweep/sweep_time.h"

namespace strata {

// Measures the machine, for about a second where the model is large; leaves nothing on its disks. Of each sweep, in
// order.
std::vector<SweepTime> time_sweeps(const RunPlan& plan, const QuantizeRequest& request);

}  // namespace strata
