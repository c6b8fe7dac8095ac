// Everything about a quantize run that is known before the first weight is read.
#pragma once

#include <optional>
#include <string>

#include "engine/device/compute.h"
#include "engine/graph/run_plan.h"
#include "engine/run/quantize.h"
#include "formats/text/dataset.h"

namespace strata {

// Reads headers only. Every error that can be known now is thrown now.
RunPlan prepare(const QuantizeRequest& request, const ComputeSession& session);

// The same for a model that is open.
RunPlan plan_run(OpenModel model, const QuantizeRequest& request, int threads);

// The samples that it learns from; nothing without data.
std::optional<TokenRows> tokens_of(const RunPlan& plan, const QuantizeRequest& request);

// Gives every byte of the output its place, once the assignment is known.
void lay_out(RunPlan& plan, const QuantizeRequest& request);

PlanSummary summarize(const RunPlan& plan, const PlacesRequest& places);

}  // namespace strata
