// How a run is cut so that it fits in memory, and how much it will take at its peak, from shapes alone.
// docs/design.md explains the terms.
#pragma once

#include <cstdint>
#include <span>

#include "engine/plan/cut.h"
#include "engine/plan/open_model.h"
#include "engine/plan/output_plan.h"
#include "engine/plan/part.h"

namespace strata {

struct MemoryQuestion {
  std::int64_t samples = 0, tokens = 0;  // 0 without data
  int threads = 1;                       // at most
  bool columns = false;                  // mean squares of every input column are collected
  std::uint64_t data = 0;                // MemoryPlan::data
  std::uint64_t base = 0;                // resident bytes of the process that is to run it
};

struct CutPlan {
  Cut cut;
  MemoryPlan memory;
};

// Pure: equal arguments give equal plans. The fastest cut whose peak is at most `limit`; the smallest there is when
// none fits.
CutPlan plan_memory(const OpenModel& model, const Assignment& assignment, const MemoryQuestion& question,
                    std::uint64_t limit);

// All parts of a run, of the visits in `all`, which they point into.
std::vector<Part> cut_run(const OpenModel& model, const Assignment& assignment, std::span<const Visit> all,
                          const PartLimits& limits);

// Bytes that encoded Linears take in memory; a format that copies the source takes none.
inline constexpr std::uint64_t render_alignment = 64;
std::uint64_t render_bytes(const OpenModel& model, const Assignment& assignment,
                           std::span<const LinearSpec* const> linears);

}  // namespace strata
