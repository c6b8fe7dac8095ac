// Runs the calibration samples through the layer: this layer's hidden states become the next one's.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros_like.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"
#include "formats/weight/weights.h"

namespace strata::passes {
namespace {

class Propagate final : public Pass {
 public:
  void run(PartContext& context) override {
    const Part& part = context.part();
    if (part.kind == Part::Kind::copy)
      embed_piece(context);
    else if (part.kind == Part::Kind::head)
      observe_head(context);
    else
      run_part(context);
  }

  void end_layer(LayerContext& layer) override {
    routes_.clear();
    if (layer.visit.kind == Visit::Kind::embedding) finish_embedding(layer);
  }

 private:
  // Where the tokens of a block go: [rows, k] each.
  struct Route {
    at::Tensor ids, weights;
  };

  void run_part(PartContext& context) {
    LayerContext& layer = context.layer;
    const LayerSpec& spec = *layer.visit.layer;
    const Part& part = context.part();
    {
      const Trace::Span span(layer.run.trace, Track::decode, layer.visit.name, {.layer = layer.done.index});
      const StageTimes::Span time(&layer.run.times, Stage::decode);
      layer.weights.load(layer.run.model, part, context.bytes(), DecodeAs::f32);
    }
    if (part.kind == Part::Kind::mixer) routes_.resize(static_cast<std::size_t>(layer.run.boundary->shape().blocks()));
    const bool alone = part.first_expert == 0 && part.last;  // one group: its sum needs no place of its own
    if (part.kind == Part::Kind::experts && !alone && !sums_)
      sums_.emplace(layer.run.more_states(work_names::scratch_experts));

    observe(layer, part.last, [&](Moments& seen, std::int64_t block, const at::Tensor& x) {
      LinearSite site(layer.weights, ActivationMode::none, layer.observing ? &seen : nullptr);
      switch (part.kind) {
        case Part::Kind::mixer: {
          at::Tensor middle = run_mixer(spec, layer.weights, site, x);
          if (const MoeSpec* const moe = spec.moe())
            routes_[static_cast<std::size_t>(block)] = route_block(*moe, layer, site, middle);
          return middle;
        }
        case Part::Kind::experts:
          return run_experts(layer, part, site, block, x);
        default:
          return x + run_mlp(spec, layer.weights, site, x);
      }
    });
  }

  static Route route_block(const MoeSpec& moe, LayerContext& layer, LinearSite& site, const at::Tensor& middle) {
    Route here;
    const at::Tensor x = ffn_input(*layer.visit.layer, layer.weights, middle);
    route(moe, site, x.view({-1, x.size(-1)}), here.ids, here.weights);
    here.ids = here.ids.to(at::kInt);
    return here;
  }

  // Adds a group of experts to the sum of those before it; the last group adds the sum to what entered the experts.
  at::Tensor run_experts(LayerContext& layer, const Part& part, LinearSite& site, std::int64_t block,
                         const at::Tensor& middle) {
    const at::Tensor x = ffn_input(*layer.visit.layer, layer.weights, middle);
    at::Tensor sum = part.first_expert == 0 ? at::zeros_like(x) : sums_->load(block);
    const Route& here = routes_[static_cast<std::size_t>(block)];
    at::Tensor rows = sum.view({-1, sum.size(-1)});
    add_experts(*layer.visit.layer->moe(), {part.first_expert, part.end_expert}, site, x.view({-1, x.size(-1)}),
                here.ids.to(at::kLong), here.weights, rows);
    if (part.last) return middle + sum;
    sums_->store(block, sum);
    return {};
  }

  // In memory, rows of the embedding go to the tokens that want them as they come by.
  static void embed_piece(PartContext& context) {
    LayerContext& layer = context.layer;
    const TensorPiece& piece = context.part().pieces.front();
    if (layer.visit.kind != Visit::Kind::embedding || !layer.run.boundary->in_memory()) return;
    const TokenRows& tokens = *layer.run.tokens;
    const std::uint64_t row_bytes = piece.tensor->bytes / static_cast<std::uint64_t>(piece.tensor->shape[0]);
    embed(layer.run.model, context.bytes().pieces().front(), static_cast<std::int64_t>(piece.skip / row_bytes),
          DecodeAs::f32, tokens.ids, layer.run.boundary->values(0, tokens.rows));
  }

  // In a scratch file, each block looks up its own.
  static void finish_embedding(LayerContext& layer) {
    const Boundary& boundary = *layer.run.boundary;
    observe(layer, true, [&](Moments&, std::int64_t block, const at::Tensor& x) {
      if (boundary.in_memory()) return x;
      at::Tensor rows = at::zeros_like(x);
      const TokenRows& tokens = *layer.run.tokens;
      const auto first = static_cast<std::size_t>(block * boundary.shape().samples_per_block * tokens.columns);
      const auto count = static_cast<std::size_t>(boundary.shape().samples_in(block) * tokens.columns);
      look_up(layer.run.model, std::span(tokens.ids).subspan(first, count),
              {rows.mutable_data_ptr<float>(), static_cast<std::size_t>(rows.numel())});
      return rows;
    });
  }

  // Logits are not needed, only what enters the head, and that only when it is quantized: the head's own weights
  // stay as they are stored.
  static void observe_head(PartContext& context) {
    LayerContext& layer = context.layer;
    if (context.part().linears.empty() || layer.run.assignment.of(*context.part().linears[0]).config_group.empty())
      return;
    const ModelSpec& model = *layer.run.model.spec;
    const TensorInfo& tensor = layer.run.model.checkpoint.at(model.final_norm.weight);
    std::vector<float> values(static_cast<std::size_t>(model.final_norm.size));
    widen(tensor.dtype, context.bytes().bytes(tensor), values);
    const at::Tensor norm = at::from_blob(values.data(), {model.final_norm.size}, at::kFloat);
    observe(layer, false, [&](Moments& seen, std::int64_t, const at::Tensor& x) {
      seen.see(model.head, head_input(model, norm, x));
      return at::Tensor();
    });
  }

  // Advances all samples by function(seen, block, x); what was seen joins the layer's moments. `leaves`: what it gives
  // is what leaves the layer.
  template <typename Function>
  static void observe(LayerContext& layer, bool leaves, const Function& function) {
    const bool columns = layer.run.method.weighs_columns;
    const Trace::Span span(layer.run.trace, Track::compute, layer.visit.name, {.layer = layer.done.index});
    const StageTimes::Span time(&layer.run.times, Stage::forward);
    advance(*layer.run.boundary, layer.run.stop, [&](std::int64_t block, const at::Tensor& x, Finish& finish) {
      const auto seen = std::make_shared<Moments>(columns);
      at::Tensor y = function(*seen, block, x);
      Finish keep;
      if (leaves && y.defined()) {
        y = y.contiguous();
        const std::span<float> values(y.mutable_data_ptr<float>(), static_cast<std::size_t>(y.numel()));
        if (layer.run.boundary_type == BoundaryType::bf16) round_to_bf16(values);
        if (layer.keeper != nullptr) keep = layer.keeper->keep(block, values);
      }
      finish = [&layer, seen, keep = std::move(keep)] {
        if (layer.observing) layer.moments.merge(*seen);
        if (keep) keep();
      };
      return y;
    });
  }

  std::vector<Route> routes_;     // of the blocks, while a layer with experts is visited
  std::optional<Boundary> sums_;  // of the experts so far
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
