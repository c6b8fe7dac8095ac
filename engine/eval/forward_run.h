// Streams tokens through models, part by part under a memory budget: the road of `strata logits` and `strata eval`.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/interrupt.h"
#include "base/reader.h"
#include "base/reporter.h"
#include "cache/boundary_file.h"
#include "engine/measure/logits_reader.h"
#include "engine/plan/part.h"
#include "engine/sweep/lanes.h"
#include "formats/text/dataset.h"

namespace strata {

struct ForwardOptions {
  std::span<const LaneSpec> lanes;  // lanes of one model share its weights, and so take them alike
  const TokenRows& tokens;
  const BoundaryReader* still = nullptr;  // what lanes that are still hold; nullptr where none is
  int threads = 1;
  std::uint64_t max_memory = 0;  // bytes, those of the program included; 0: what this process can have
  // Where hidden states are kept as they leave each layer, so that the same forward goes on after an interruption, and
  // where they lie when memory is short; they go when the run ends. Empty: they stay in memory, and nothing is kept.
  std::string work_directory;
  std::string device = "cpu";
  IoMethod io = IoMethod::automatic;
  std::uint64_t piece_bytes = PartLimits().piece_bytes;  // of a head at once, as float32
  const StopFlag* stop = nullptr;
};

// Hands the logits of all lanes to `reader`. Error{input} when the models differ in layers, sections or width,
// Error{budget} with the smallest limit that works when memory does not suffice, Error{resumable} when it was stopped
// and what is done is in the work directory. A reader hears all logits or the run fails: those of an earlier run are
// computed again.
void run_forward(const ForwardOptions& options, LogitsReader& reader, Reporter& reporter);

}  // namespace strata
