// A model's hidden states on their way through its layers. Several lanes travel side by side: models that
// share an OpenModel share its loaded layer.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "engine/device/tensor_memory.h"
#include "engine/model/served.h"
#include "engine/plan/open_model.h"
#include "engine/sweep/boundary.h"
#include "formats/text/dataset.h"

namespace strata {

// The memory of a forward that nobody planned: what does not fit is refused by name. One at a time in the process.
struct LaneMemory {
  explicit LaneMemory(std::uint64_t limit);  // bytes, those of the program included; 0: what this process can have

  Budget budget;
  Lease program;
  TensorMemoryLimit tensors;
};

struct Lane {
  Lane(const OpenModel& model_, DecodeAs decode_, ActivationMode activations_, const TokenRows& tokens, Budget& memory)
      : model(&model_),
        decode(decode_),
        activations(activations_),
        boundary(boundary_shape(tokens.rows, tokens.columns, model_.spec->hidden), memory) {}

  const OpenModel* model;
  DecodeAs decode;
  ActivationMode activations;
  Boundary boundary;
};

// Receives the logits of some consecutive positions (flat over [rows, columns] of the tokens): one span
// [positions, vocabulary] a lane.
using LogitsReader = std::function<void(std::int64_t first_position, std::span<const std::span<const float>> logits)>;

// Streams all lanes through their models, layer by layer, and hands the logits of all positions to `reader`
// in order, a bounded number at a time. The models have equally many layers.
void run_lanes(std::vector<Lane>& lanes, const TokenRows& tokens, Budget& memory, Reporter& reporter,
               const StopFlag* stop, const LogitsReader& reader);

}  // namespace strata
