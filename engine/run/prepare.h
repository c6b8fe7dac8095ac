// Everything about a quantize run that is known before the first weight is read.
#pragma once

#include <string>

#include "engine/device/compute.h"
#include "engine/plan/prepared.h"
#include "engine/run/quantize.h"

namespace strata {

// Reads headers only. Every error that can be known now is thrown now.
Prepared prepare(const QuantizeRequest& request, const ComputeSession& session);

PlanSummary summarize(const Prepared& prepared, const PlacesRequest& places);

}  // namespace strata
