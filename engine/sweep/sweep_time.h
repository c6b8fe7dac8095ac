// How long a sweep takes, from what its passes say they do and what a machine does in a second.
#pragma once

#include <algorithm>

#include "engine/graph/run_plan.h"
#include "engine/sweep/machine_rates.h"

namespace strata {

// What the passes of a sweep do, and what the sweep itself does: reads, commits.
WorkSheet sweep_work(const RunPlan& plan, const PlannedSweep& sweep, const PassQuestion& question);

// Seconds of the three threads, which work at the same time.
struct SweepTime {
  double compute = 0, read = 0, write = 0;
  double longest() const { return std::max({compute, read, write}); }
};

SweepTime time_of(const WorkSheet& work, const MachineRates& rates, const PlannedSweep& sweep);

}  // namespace strata
