// Everything about a quantize run that is known before the first weight is read.
#pragma once

#include <string>

#include "engine/device/compute.h"
#include "engine/graph/run_plan.h"
#include "engine/run/quantize.h"

namespace strata {

// Reads headers only. Every error that can be known now is thrown now.
RunPlan prepare(const QuantizeRequest& request, const ComputeSession& session);

// Gives every byte of the output its place, once the assignment is known.
void lay_out(RunPlan& plan, const QuantizeRequest& request);

PlanSummary summarize(const RunPlan& plan, const PlacesRequest& places);

}  // namespace strata
