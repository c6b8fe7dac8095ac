// A pass: reads facts, writes facts, once a layer. One file each under engine/passes; several passes share
// one visit to a layer. docs/add-a-pass.md shows how to write one.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/lending.h"
#include "base/reporter.h"
#include "base/stage_times.h"
#include "base/trace.h"
#include "engine/graph/pass_type.h"
#include "engine/model/layer_weights.h"
#include "engine/output/sink.h"
#include "engine/output/write_behind.h"
#include "engine/plan/assignment.h"
#include "engine/rounding/rounding.h"
#include "engine/source/layer_bytes.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/boundary.h"
#include "engine/sweep/boundary_keeper.h"
#include "engine/sweep/moments.h"
#include "formats/text/dataset.h"

namespace strata {

// What a run shares over all its layers. Everything outlives the passes.
struct RunContext {
  const OpenModel& model;
  const Assignment& assignment;
  const OutputPlan& output;
  const RoundingMethod& method;
  Budget& memory;
  int threads = 1;  // that compute
  ShardSink& sink;  // used by the writer's thread
  WriteBehind& writer;
  Lending<LeasedBuffer>& render_memory;  // where encoded Linears lie until they are written
  const TokenRows* tokens = nullptr;     // calibration windows; nullptr without data
  Boundary* boundary = nullptr;          // nullptr without data
  BoundaryType boundary_type = BoundaryType::f32;
  std::function<Boundary(std::string_view name)> more_states = {};  // room for as many hidden states as the boundary
  StageTimes& times;
  const StopFlag* stop = nullptr;
  Trace* trace = nullptr;
};

// One encoded Linear: the bytes of its written_fields(). They lie in the render memory or, where a format copies them,
// in the source's bytes, and last until the part is done; whoever wants them longer keeps an owner.
struct Render {
  const LinearSpec* linear = nullptr;
  std::vector<Field> fields;
  std::vector<std::span<const std::byte>> bytes;
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t late = none;  // the field whose value is known only when the layer ends: an input scale
};

// A small tensor that became known when the layer ended.
struct LateTensor {
  std::size_t slot = 0;  // of the output
  std::vector<std::byte> bytes;
};

// What passes share while one layer is visited.
struct LayerContext {
  RunContext& run;
  const Visit& visit;
  LayerWeights& weights;  // filled by propagate, when there is data
  Moments& moments;
  LayerDone& done;                   // what the user will read about this layer
  BoundaryKeeper* keeper = nullptr;  // takes the hidden states that leave the layer; nullptr when none are kept
  bool observing = false;            // set by observe: propagate fills the moments
  std::vector<LateTensor> late = {};
  std::vector<std::pair<std::string, std::string>> decisions = {};  // subject, text: what the user should know
};

// What passes share while one part of it is in memory.
struct PartContext {
  LayerContext& layer;
  std::shared_ptr<const LoadedPart> source;
  std::vector<Render> renders = {};
  std::shared_ptr<LeasedBuffer> render_memory = {};  // where they lie

  const Part& part() const { return *source->part; }
  const LayerBytes& bytes() const { return source->bytes; }
};

// Called for one layer at a time, in order, never concurrently: begin, every part in order, end.
class Pass {
 public:
  virtual ~Pass() = default;
  virtual void begin_layer(LayerContext& /*layer*/) {}
  virtual void run(PartContext& part) = 0;
  virtual void end_layer(LayerContext& /*layer*/) {}
};

}  // namespace strata
