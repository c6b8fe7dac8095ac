// A run that is planned: all that is known of it before the first weight is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/output_file.h"
#include "cache/boundary_shape.h"
#include "engine/plan/assignment.h"
#include "engine/plan/cut.h"
#include "engine/plan/open_model.h"
#include "engine/plan/output_plan.h"

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

}  // namespace strata
