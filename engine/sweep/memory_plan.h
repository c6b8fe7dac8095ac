// How a sweep is cut so that it fits in memory, and how much it will take at its peak, from shapes alone. Passes say
// what they take; docs/design.md explains the terms.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/graph/run_plan.h"

namespace strata {

struct SweepQuestion {
  const PassQuestion& pass;
  const SweepPlan& sweep;
  std::span<const Collect> collects = {};
  std::span<const MovingStates> moving = {}, found = {};                // as those of PlannedSweep
  std::function<std::vector<Part>(const PartLimits& limits)> cut = {};  // empty: cut_run()
  bool scratch = true;                                                  // hidden states may lie in a file
  int threads = 1;                                                      // at most
  std::uint64_t data = 0;                                               // MemoryPlan::data
  std::uint64_t base = 0;  // resident bytes of the process that is to run it
};

// Pure: equal arguments give equal plans. The fastest cut whose peak is at most `limit`; the smallest there is when
// none fits.
CutPlan plan_memory(const SweepQuestion& question, std::uint64_t limit);

// All parts of a way through the model, in the order of the sweep. Without an assignment the head is looked into; what
// is stored is not read. They point into the model.
std::vector<Part> cut_run(const PassQuestion& question, const SweepPlan& sweep, const PartLimits& limits);

}  // namespace strata
