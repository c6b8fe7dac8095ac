// Everything about a quantize run that is known before the first weight is read.
#pragma once

#include <string>

#include "engine/assignment.h"
#include "engine/compute.h"
#include "engine/memory_plan.h"
#include "engine/open_model.h"
#include "engine/output_plan.h"
#include "engine/quantize.h"

namespace strata {

struct Prepared {
  OpenModel model;
  Assignment assignment;
  OutputPlan output;
  bool calibrate = false;   // a format needs the activations, and there is a dataset
  MemoryPlan memory;
};

// Reads headers only. Every error that can be known now is thrown now.
Prepared prepare(const QuantizeOptions& options, const ComputeSession& session);

PlanSummary summarize(const Prepared& prepared, const QuantizeOptions& options);

std::string formats_text(const OutputPlan& plan);  // "NVFP4 42, KEEP 1"

}  // namespace strata
