// Runs the calibration samples through the layer: this layer's hidden states become the next one's.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <memory>
#include <vector>

#include "engine/model/layer.h"
#include "engine/pass.h"
#include "formats/weights.h"

namespace strata::passes {
namespace {

class Propagate final : public Pass {
 public:
  void run(LayerContext& layer) override {
    switch (layer.visit.kind) {
      case Visit::Kind::embedding:
        return embed_samples(layer);
      case Visit::Kind::layer:
        return run_samples(layer);
      case Visit::Kind::head:
        return observe_head(layer);
    }
  }

 private:
  static void embed_samples(LayerContext& layer) {
    const TokenRows& tokens = *layer.run.tokens;
    embed(layer.run.model, layer.bytes, DecodeAs::f32, tokens.ids, layer.run.boundary->values(0, tokens.rows));
  }

  static void run_samples(LayerContext& layer) {
    layer.weights.load(layer.run.model, layer.visit, layer.bytes, DecodeAs::f32);
    observe(layer, [&](Moments& seen, const at::Tensor& x) {
      LinearSite site(layer.weights, ActivationMode::none, layer.observing ? &seen : nullptr);
      return run_layer(*layer.visit.layer, layer.weights, site, x);
    });
  }

  // Logits are not needed, only what enters the head, and that only when it is quantized: the head's own weights
  // stay as they are stored.
  static void observe_head(LayerContext& layer) {
    if (layer.visit.linears.empty() || layer.run.assignment.of(*layer.visit.linears[0]).config_group.empty()) return;
    const ModelSpec& model = layer.run.model.spec;
    const TensorInfo& tensor = layer.run.model.checkpoint.at(model.final_norm.weight);
    std::vector<float> values(static_cast<std::size_t>(model.final_norm.size));
    widen(tensor.dtype, layer.bytes.bytes(tensor.name), values);
    const at::Tensor norm = at::from_blob(values.data(), {model.final_norm.size}, at::kFloat);
    observe(layer, [&](Moments& seen, const at::Tensor& x) {
      seen.see(model.head, head_input(model, norm, x));
      return x;
    });
  }

  // Advances all samples by function(seen, x); what was seen joins the layer's moments.
  template <typename Function>
  static void observe(LayerContext& layer, const Function& function) {
    const bool columns = layer.run.method.weighs_columns;
    advance_in_order(*layer.run.boundary, layer.run.stop, [&](const at::Tensor& x, Finish& finish) {
      const auto seen = std::make_shared<Moments>(columns);
      at::Tensor y = function(*seen, x);
      if (layer.observing) finish = [&layer, seen] { layer.moments.merge(*seen); };
      return y;
    });
  }
};

}  // namespace

extern const PassType propagate{
    .name = "propagate",
    .summary = "runs the calibration samples through the source's layer",
    .version = 1,
    .reads = facts::source | facts::boundary,
    .uses = facts::watch,
    .writes = facts::boundary | facts::moments,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<Propagate>(); },
};

}  // namespace strata::passes
