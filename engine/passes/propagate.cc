// Runs the calibration samples through the layer: this layer's hidden states become the next one's.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "engine/model/layer.h"
#include "engine/pass.h"

namespace strata::passes {
namespace {

class Propagate final : public Pass {
 public:
  void run(LayerContext& layer) override {
    switch (layer.visit.kind) {
      case Visit::Kind::embedding: return embed_samples(layer);
      case Visit::Kind::layer: return run_samples(layer);
      case Visit::Kind::head: return observe_head(layer);
    }
  }

 private:
  static void embed_samples(LayerContext& layer) {
    const TokenRows& tokens = *layer.run.tokens;
    embed(layer.run.model, layer.bytes, DecodeAs::f32, tokens.ids, layer.run.boundary->values(0, tokens.rows));
  }

  static void run_samples(LayerContext& layer) {
    layer.weights.load(layer.run.model, layer.visit, layer.bytes, DecodeAs::f32);
    LinearSite site(layer.weights, ActivationMode::none, layer.observer);
    Boundary& boundary = *layer.run.boundary;
    const std::int64_t step = samples_per_chunk(boundary.tokens());
    for (std::int64_t first = 0; first < boundary.samples(); first += step) {
      const std::int64_t count = std::min(step, boundary.samples() - first);
      boundary.store(first, run_layer(*layer.visit.layer, layer.weights, site, boundary.chunk(first, count)));
    }
  }

  // Logits are not needed, only what enters the head, and that only when its format is calibrated.
  static void observe_head(LayerContext& layer) {
    if (layer.visit.linears.empty() || !layer.run.assignment.of(*layer.visit.linears[0]).calibrated_input) return;
    layer.weights.load(layer.run.model, layer.visit, layer.bytes, DecodeAs::f32);
    LinearSite site(layer.weights, ActivationMode::none, layer.observer);
    Boundary& boundary = *layer.run.boundary;
    for (std::int64_t i = 0; i < boundary.samples(); ++i)
      head_logits(layer.run.model.spec, layer.weights, site, boundary.chunk(i, 1));
  }
};

}  // namespace

extern const PassType propagate{
    .name = "propagate",
    .summary = "runs the calibration samples through the source's layer",
    .version = 1,
    .reads = facts::source | facts::boundary,
    .writes = facts::boundary | facts::moments,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<Propagate>(); },
};

}  // namespace strata::passes
