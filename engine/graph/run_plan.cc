#include "engine/graph/run_plan.h"

#include <algorithm>

namespace strata {

std::uint64_t RunPlan::peak_memory() const {
  std::uint64_t peak = 0;
  for (const PlannedSweep& sweep : sweeps) peak = std::max(peak, sweep.cut.memory.peak());
  return peak;
}

std::uint64_t RunPlan::work_disk() const {
  std::uint64_t total = 0;  // what a sweep kept stays until the end
  for (const PlannedSweep& sweep : sweeps) total += sweep.cut.memory.sheet.total(Resource::disk);
  return total;
}

}  // namespace strata
