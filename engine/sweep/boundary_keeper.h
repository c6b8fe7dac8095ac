// Takes the hidden states that leave a layer and writes them behind the computation's back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/budget.h"
#include "base/lending.h"
#include "base/stage_times.h"
#include "base/trace.h"
#include "cache/kept.h"
#include "engine/output/write_behind.h"
#include "engine/sweep/boundary.h"

namespace strata {

// Memory in which blocks wait to be written: of every lane one for each block that is computed, and one with the
// writer. Blocks are handed on in order, so that fewer could wait for each other for ever.
class EncodedBlocks {
 public:
  EncodedBlocks(const BoundaryShape& shape, int threads, std::size_t lanes, Budget& memory);
  std::shared_ptr<EncodedBlock> take() { return blocks_.take(); }

  static std::uint64_t memory(const BoundaryShape& shape, int threads, std::size_t lanes);

 private:
  Lease lease_;
  Lending<EncodedBlock> blocks_;
};

// The boundary that leaves visit `visit` (the trace counts it) on its way to its file. keep() is thread-safe.
class BoundaryKeeper {
 public:
  BoundaryKeeper(int visit, std::shared_ptr<PendingBoundary> file, EncodedBlocks& blocks, WriteBehind& writer,
                 StageTimes& times, Trace* trace)
      : visit_(visit), file_(std::move(file)), blocks_(blocks), writer_(writer), times_(times), trace_(trace) {}

  // Encodes the block at once, in the caller's thread. What it gives hands the block to the writer, and is called in
  // the order of the blocks.
  Finish keep(std::int64_t block, std::span<const float> values);

 private:
  const int visit_;
  const std::shared_ptr<PendingBoundary> file_;
  EncodedBlocks& blocks_;
  WriteBehind& writer_;
  StageTimes& times_;
  Trace* const trace_;
};

}  // namespace strata
