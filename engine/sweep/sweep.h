// One way through the model: read ahead, compute, write behind, commit visit by visit.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/timer.h"
#include "engine/graph/graph.h"
#include "engine/sweep/boundary_keeper.h"
#include "engine/sweep/pass.h"
#include "engine/work/sweep_log.h"

namespace strata {

// Layers that are computed but not committed, at most: one that is being written, and the next.
inline constexpr int most_uncommitted = 2;

struct SweepOptions {
  const SweepPlan& plan;
  const Cut& cut;
  std::span<const Part> parts;  // of the visits that are computed, in order
  std::size_t visits = 0;       // of the model
  Reader& reader;
  OutputTools output = {};
  SweepLog* log = nullptr;                                      // nullptr where nothing is kept
  std::map<const FactInfo*, EncodedBlocks>* encoded = nullptr;  // of what moves on; nullptr where none is kept
  double deadline = 0;  // seconds of `since` after which no layer is begun that would not be done; 0: none
  Timer since = {};
  std::uint64_t least_available = 0;  // bytes of memory below which the machine must not fall
};

// Runs the passes over every part; a sweep without layers calls each pass once. `board` holds what is known before, and
// what is known of the whole model after. Whatever ends it, layers that were done before are committed first:
// Error{resumable} when tools.stop is set (Error{interrupted} where nothing is kept) or the deadline would be missed,
// Error{budget} when the machine runs out of memory, or what a pass, the reader or the writer threw.
void sweep(const SweepOptions& options, const Tools& tools, FactBoard& board, Reporter& reporter);

}  // namespace strata
