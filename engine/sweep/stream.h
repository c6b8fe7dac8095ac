// Takes a prepared run through the model: sets up memory, reader and writer, and runs every sweep.
#pragma once

#include <vector>

#include "base/timer.h"
#include "engine/sweep/pass.h"
#include "engine/work/run_log.h"

namespace strata {

struct StreamInput {
  const TokenRows* tokens = nullptr;         // nullptr without data
  Timer timer;                               // since the run began: --deadline counts from there
  Reader* reader = nullptr;                  // nullptr: the one that the options name
  std::vector<const PassType*> passes = {};  // empty: those of the run; a bench leaves some out
};

// What a run works with. All of it outlives the call.
struct StreamTools {
  RunLog& log;
  Budget& memory;
  ShardSink& sink;
  StageTimes& times;
  Reporter& reporter;
};

// Errors as those of sweep().
void stream(const Prepared& prepared, const QuantizeRequest& request, const StreamInput& input,
            const StreamTools& tools);

}  // namespace strata
