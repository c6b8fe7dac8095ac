// What a plan says beyond sizes: what each sweep takes, by holder, and how long; what a run may choose between.
#pragma once

#include "engine/graph/run_plan.h"
#include "engine/run/quantize.h"

namespace strata {

// `measure`: how long each sweep takes too.
void add_details(PlanSummary& summary, const RunPlan& plan, const QuantizeRequest& request, bool measure);

}  // namespace strata
