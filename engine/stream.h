// Takes a prepared run through the model: sets up memory, reader and writer, and runs every sweep.
#pragma once

#include "base/timer.h"
#include "engine/pass.h"
#include "engine/run_log.h"

namespace strata {

struct StreamInput {
  const TokenRows* tokens = nullptr;  // nullptr without data
  Timer timer;                        // since the run began: --deadline counts from there
};

// Errors as those of sweep().
void stream(const Prepared& prepared, const QuantizeOptions& options, const StreamInput& input, RunLog& log,
            Budget& memory, ShardSink& sink, StageTimes& times, Reporter& reporter);

}  // namespace strata
