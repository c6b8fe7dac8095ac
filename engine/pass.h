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
#include "engine/rounding.h"
#include "engine/sink.h"
#include "formats/dataset.h"

namespace strata {

// What passes tell each other about a layer.
namespace facts {
inline constexpr unsigned source = 1;    // the layer's stored bytes are in memory
inline constexpr unsigned boundary = 2;  // hidden states that enter the layer
inline constexpr unsigned moments = 4;   // statistics of the layer's inputs
inline constexpr unsigned renders = 8;   // encoded Linears
inline constexpr unsigned output = 16;   // the layer's tensors are written
}  // namespace facts

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

struct PassType {
  std::string_view name;
  std::string_view summary;
  int version;              // changes when its result changes; goes into fingerprints
  unsigned reads, writes;   // facts
  std::unique_ptr<Pass> (*make)();
};

std::span<const PassType* const> pass_types();  // generated from engine/passes/*.cc
const PassType& pass_type(std::string_view name);  // Error{bug} when there is none

}  // namespace strata
