#include "engine/graph/run_plan.h"

#include <algorithm>

namespace strata {

std::uint64_t RunPlan::peak_memory() const {
  std::uint64_t peak = 0;
  for (const PlannedSweep& sweep : sweeps) peak = std::max(peak, sweep.cut.memory.peak());
  return peak;
}

std::uint64_t RunPlan::work_disk() const {
  std::uint64_t most = 0;
  for (const PlannedSweep& sweep : sweeps) most = std::max(most, sweep.cut.memory.sheet.total(Resource::disk));
  return most;
}

}  // namespace strata
