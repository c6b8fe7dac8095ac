// The second half of `strata quantize`: a run that is planned and fits, taken through its sweeps to its output.
#pragma once

#include "base/reporter.h"
#include "base/timer.h"
#include "engine/graph/run_plan.h"
#include "engine/plan/request.h"

namespace strata {

// Goes on where an interrupted run of the same request stopped; Error{resumable} where this one is to go on later.
// `timer`: since the run began.
void carry_out(RunPlan plan, const QuantizeRequest& request, const Timer& timer, Reporter& reporter);

}  // namespace strata
