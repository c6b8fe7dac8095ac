// A run that is planned: all that is known of it before the first weight is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "engine/graph/cost.h"
#include "engine/graph/graph.h"
#include "engine/graph/moving_states.h"
#include "engine/plan/assignment.h"
#include "engine/plan/cut.h"
#include "engine/plan/open_model.h"
#include "engine/plan/output_plan.h"

namespace strata {

// What a sweep will take.
struct MemoryPlan {
  std::uint64_t base = 0;  // bytes of the process before the first layer, libraries and what they load later included
  std::uint64_t data = 0;  // reading and tokenizing the data set; given back before the first layer
  CostSheet sheet;

  std::uint64_t peak() const { return base + std::max(data, sheet.total(Resource::host)); }
};

struct CutPlan {
  Cut cut;
  MemoryPlan memory;
};

// A sweep and how it is walked so that it fits.
struct PlannedSweep {
  SweepPlan passes;
  CutPlan cut;
  std::vector<MovingStates> moving = {};  // that it advances; none without data
  std::vector<MovingStates> found = {};   // that an earlier sweep kept for it
};

struct RunPlan {
  OpenModel model;
  std::optional<Assignment> assignment;  // nothing until a pass of the run has decided
  std::optional<OutputPlan> output;      // nothing until the assignment is known
  std::uint64_t most_output = 0;         // bytes of the output at most, where only the budget is known
  bool learns = false;                   // samples go through the model
  std::vector<Collect> collects;         // of each Linear, by LinearSpec::index
  std::vector<char> stored;              // likewise: 1 where an earlier run has kept its encoding; empty: of none
  std::size_t frontier_lanes = 0;        // choices that --pareto measures: at most, until they are solved for
  std::vector<PlannedSweep> sweeps;
  std::optional<std::uint64_t> allowed_memory;  // bytes, where the user names a limit
  std::uint64_t memory_limit = 0;               // bytes that the run may take: as allowed, or what there is
  WriteMode write_mode = WriteMode::buffered;
  std::vector<std::pair<std::string, std::string>> decisions;  // subject, text: of the plan, beside the assignment's
  // "--nsamples 16": with how much less data the run fits; empty when it does, when none does, or with a limit.
  std::string data_that_fits;

  PassQuestion question(const QuantizeRequest& request) const {
    return {.model = model,
            .request = request,
            .assignment = assignment ? &*assignment : nullptr,
            .learns = learns,
            .stored = stored,
            .frontier_lanes = frontier_lanes};
  }
  std::uint64_t peak_memory() const;  // bytes, of the largest sweep
  std::uint64_t work_disk() const;    // bytes that the work directory takes at most
};

}  // namespace strata
