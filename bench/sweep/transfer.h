// The disk traffic of a run without its computing: every part read in order, by the same reader into as many slots;
// as many bytes written at the planned offsets through the same sink, small late tensors at the end of their layer;
// the hidden states of each layer as a file; each layer committed as a run commits it; the output published.
// What the run would have encoded are random bytes made before the clock starts. What is read is not hashed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/lending.h"
#include "engine/output/write_behind.h"
#include "engine/run/prepare.h"
#include "engine/source/layer_bytes.h"
#include "engine/work/sweep_log.h"

namespace strata::bench {

class Transfer {
 public:
  // Chooses the reader, makes the bytes to write, and leaves the page cache without the source. All outlive it.
  Transfer(const RunPlan& plan, const QuantizeRequest& options, SweepLog& log);

  void run();

  const std::string& note() const { return note_; }

 private:
  using Slot = std::shared_ptr<LayerBytes>;
  void make_states(int threads);
  void write_part(const Part& part, const Slot& slot);
  void keep_states(const std::shared_ptr<PendingBoundary>& file);
  void commit(const Part& part, const std::shared_ptr<PendingBoundary>& leaving);
  std::vector<OutputPiece> encoded(const Part& part);

  const RunPlan& plan_;
  const QuantizeRequest& options_;
  SweepLog& log_;
  Budget memory_;
  const std::vector<Part> parts_;
  std::unique_ptr<Reader> reader_;
  std::string note_;
  FrameCodec codec_ = FrameCodec::bf16;
  std::vector<EncodedBlock> states_;  // of any layer
  std::vector<std::byte> noise_;      // as long as the largest encoded tensor
  std::vector<OutputPiece> late_;     // of the layer under way
  std::unique_ptr<ShardSink> sink_;
  Lending<LayerBytes> slots_;
  std::unique_ptr<WriteBehind> writer_;  // ends before what it uses
  WriteBehind::Ticket committing_ = 0;
};

}  // namespace strata::bench
