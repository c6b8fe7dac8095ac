// A pass: reads facts, writes facts, once a layer. One file each under engine/passes; several passes share
// one visit to a layer. docs/design.md has the table.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "engine/assignment.h"
#include "engine/boundary.h"
#include "engine/layer_bytes.h"
#include "engine/model/layer_weights.h"
#include "engine/moments.h"
#include "engine/pass_type.h"
#include "engine/rounding.h"
#include "engine/sink.h"
#include "formats/dataset.h"

namespace strata {

// One encoded Linear: its tensors' bytes in the order of encoded_tensors(). The bytes belong to the render pass
// (to the layer's source bytes where a format copies them) and last until the next layer.
struct Render {
  const LinearSpec* linear = nullptr;
  std::vector<TensorInfo> tensors;
  std::vector<std::span<const std::byte>> bytes;
};

// What a run shares over all its layers.
struct RunContext {
  const OpenModel& model;
  const Assignment& assignment;
  const RoundingMethod& method;
  const TokenRows* tokens = nullptr;    // calibration windows; nullptr without data
  std::unique_ptr<Boundary> boundary;   // nullptr without data
  ShardSink& sink;
  const StopFlag* stop = nullptr;
};

// What passes share while one layer is visited.
struct LayerContext {
  RunContext& run;
  const Visit& visit;
  const LayerBytes& bytes;
  LayerWeights& weights;                // filled by propagate, when there is data
  Moments& moments;
  bool observing = false;               // set by observe: propagate fills the moments
  std::vector<Render> renders;
  std::vector<std::pair<std::string, std::string>> decisions;  // subject, text: what the user should know
  LayerDone& done;                      // what the user will read about this layer
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual void run(LayerContext& layer) = 0;  // once a layer, in order, never concurrently
};

}  // namespace strata
