// One way through the model: read ahead, compute, write behind, commit layer by layer.
#pragma once

#include <functional>
#include <span>

#include "base/timer.h"
#include "engine/graph/graph.h"
#include "engine/sweep/pass.h"
#include "engine/work/run_log.h"

namespace strata {

// Layers that are computed but not committed, at most: one that is being written, and the next.
inline constexpr int most_uncommitted = 2;

struct SweepOptions {
  std::span<const Visit> visits;
  std::span<const Part> parts;  // of the visits that are computed, in order
  Reader& reader;
  int slots = 3;  // parts of the source in memory
  RunLog& log;
  EncodedBlocks* encoded = nullptr;  // nullptr without data
  double deadline = 0;               // seconds of `since` after which no layer is begun that would not be done; 0: none
  Timer since = {};
  std::uint64_t least_available = 0;  // bytes of memory below which the machine must not fall
};

// Runs the passes over every part. Whatever ends it, layers that were done before are committed first:
// Error{resumable} when run.stop is set or the deadline would be missed, Error{budget} when the machine runs out of
// memory, or what a pass, the reader or the writer threw.
void sweep(RunContext& run, const SweepPlan& plan, const SweepOptions& options, Reporter& reporter);

}  // namespace strata
