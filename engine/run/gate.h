// The last look at an output before it appears: read back as any loader would, it must be what was measured while it
// was written.
#pragma once

#include "base/reporter.h"
#include "cache/boundary_file.h"
#include "engine/graph/run_plan.h"
#include "engine/measure/measured_windows.h"
#include "engine/plan/request.h"

namespace strata {

// Runs the output in the partial folder on the held-out windows, against `teacher`: what entered the source's head when
// the run measured. Reads nothing of the source. Error{check} when its KL is another than that in measured.json.
void require_as_measured(const RunPlan& plan, const QuantizeRequest& request, const MeasuredWindows& windows,
                         const BoundaryReader& teacher, Reporter& reporter);

}  // namespace strata
