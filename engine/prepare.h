// Everything about a quantize run that is known before the first weight is read.
#pragma once

#include <optional>
#include <string>

#include "engine/assignment.h"
#include "engine/boundary.h"
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
  bool calibrate = false;  // a format needs the activations, and there is a dataset
  Cut cut;                 // how it is walked so that it fits
  MemoryPlan memory;
  std::optional<std::uint64_t> allowed_memory;  // bytes, where the user names a limit
  std::uint64_t memory_limit = 0;               // bytes that the run may take: as allowed, or what there is
  std::optional<BoundaryShape> boundary;        // what is kept between layers; nothing without data
  WriteMode write_mode = WriteMode::buffered;
  std::uint64_t work_disk = 0;  // bytes that the work directory takes at most
  // "--nsamples 16": with how much less data the run fits; empty when it does, when none does, or with a limit.
  std::string data_that_fits;
};

// Reads headers only. Every error that can be known now is thrown now.
Prepared prepare(const QuantizeOptions& options, const ComputeSession& session);

PlanSummary summarize(const Prepared& prepared, const QuantizeOptions& options);

std::string formats_text(const OutputPlan& plan);  // "NVFP4 42, KEEP 1"

}  // namespace strata
