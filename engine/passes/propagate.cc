// Runs hidden states through the layer: what enters this layer becomes what enters the next one.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <vector>

#include "cache/codec_choice.h"
#include "cache/fingerprint.h"
#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/layer_work.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"
#include "profiles/layer_questions.h"

namespace strata::passes {
namespace {

class Propagate final : public Pass {
 public:
  void begin(Desk& desk) override { moments_ = &desk.make(facts::moments); }

  void part(Desk& desk) override {
    // What is learnt of single columns is used once, unless a later sweep wants it.
    if (!desk.keeps(facts::moments)) moments_->forget_columns();
    const Part& part = desk.part();
    Lanes& lanes = desk.advance(facts::boundary);
    lanes_.resize(lanes.count());
    for (std::size_t i = 0; i < lanes.count(); ++i) {
      if (lanes.spec(i).model != &desk.model()) continue;
      if (part.kind == Part::Kind::copy)
        embed_piece(desk, lanes.states(i));
      else if (part.kind == Part::Kind::head)
        observe_head(desk, lanes, i);
      else if (part.kind != Part::Kind::logits)
        run_part(desk, lanes, i);
    }
  }

  void end(Desk& desk) override {
    Lanes& lanes = desk.advance(facts::boundary);
    for (Lane& lane : lanes_) lane.routes.clear();
    if (desk.visit().kind != Visit::Kind::embedding) return;
    for (std::size_t i = 0; i < lanes.count(); ++i)
      if (lanes.spec(i).model == &desk.model()) finish_embedding(desk, lanes, i);
  }

 private:
  // Where the tokens of a block go: [rows, k] each.
  struct Route {
    at::Tensor ids, weights;
  };

  struct Lane {
    std::vector<Route> routes;       // of the blocks, while a layer with experts is visited
    std::unique_ptr<Boundary> sums;  // of the experts so far
  };

  void run_part(Desk& desk, Lanes& lanes, std::size_t index) {
    const LayerSpec& spec = *desk.visit().layer;
    const LayerWeights& weights = desk.get(facts::weights);
    const Part& part = desk.part();
    Lane& lane = lanes_[index];
    if (part.kind == Part::Kind::mixer) lane.routes.resize(static_cast<std::size_t>(lanes.shape().blocks()));
    const bool alone = part.first_expert == 0 && part.last;  // one group: its sum needs no place of its own
    if (part.kind == Part::Kind::experts && !alone && !lane.sums)
      lane.sums = std::make_unique<Boundary>(desk.tools().more_states());

    advance_lane(desk, lanes, index, part.last, [&](Moments& seen, std::int64_t block, const at::Tensor& x) {
      LinearSite site(weights, lanes.spec(index).inputs, &seen);
      switch (part.kind) {
        case Part::Kind::mixer: {
          at::Tensor middle = run_mixer(spec, weights, site, x);
          if (const MoeSpec* const moe = experts_of(spec))
            lane.routes[static_cast<std::size_t>(block)] = route_block(*moe, spec, weights, site, middle);
          return middle;
        }
        case Part::Kind::experts:
          return run_experts(desk, lane, site, block, x);
        default:
          return x + run_mlp(spec, weights, site, x);
      }
    });
  }

  static Route route_block(const MoeSpec& moe, const LayerSpec& spec, const LayerWeights& weights, LinearSite& site,
                           const at::Tensor& middle) {
    Route here;
    const at::Tensor x = ffn_input(spec, weights, middle);
    route(moe, site, x.view({-1, x.size(-1)}), here.ids, here.weights);
    here.ids = here.ids.to(at::kInt);
    return here;
  }

  // Adds a group of experts to the sum of those before it; the last group adds the sum to what entered the experts.
  static at::Tensor run_experts(const Desk& desk, Lane& lane, LinearSite& site, std::int64_t block,
                                const at::Tensor& middle) {
    const Part& part = desk.part();
    const LayerSpec& spec = *desk.visit().layer;
    const at::Tensor x = ffn_input(spec, desk.get(facts::weights), middle);
    at::Tensor sum = part.first_expert == 0 ? at::zeros_like(x) : lane.sums->load(block);
    const Route& here = lane.routes[static_cast<std::size_t>(block)];
    at::Tensor rows = sum.view({-1, sum.size(-1)});
    add_experts(*experts_of(spec), {part.first_expert, part.end_expert}, site, x.view({-1, x.size(-1)}),
                here.ids.to(at::kLong), here.weights, rows);
    if (part.last) return middle + ffn_output(spec, desk.get(facts::weights), sum);
    lane.sums->store(block, sum);
    return {};
  }

  // In memory, rows of the embedding go to the tokens that want them as they come by.
  static void embed_piece(const Desk& desk, Boundary& states) {
    const TensorPiece& piece = desk.part().pieces.front();
    if (desk.visit().kind != Visit::Kind::embedding || !states.in_memory()) return;
    const TokenRows& tokens = *desk.tools().tokens;
    const std::uint64_t row_bytes = piece.tensor->bytes / static_cast<std::uint64_t>(piece.tensor->shape[0]);
    embed(desk.model(), desk.get(facts::source).bytes.pieces().front(),
          static_cast<std::int64_t>(piece.skip / row_bytes), desk.decode_as(), tokens.ids,
          states.values(0, tokens.rows));
  }

  // In a scratch file, each block looks up its own.
  void finish_embedding(Desk& desk, Lanes& lanes, std::size_t index) {
    const Boundary& states = lanes.states(index);
    advance_lane(desk, lanes, index, true, [&](Moments&, std::int64_t block, const at::Tensor& x) {
      if (states.in_memory()) return x;
      at::Tensor rows = at::zeros_like(x);
      const TokenRows& tokens = *desk.tools().tokens;
      const auto first = static_cast<std::size_t>(block * states.shape().samples_per_block * tokens.columns);
      const auto count = static_cast<std::size_t>(states.shape().samples_in(block) * tokens.columns);
      look_up(desk.model(), desk.decode_as(), std::span(tokens.ids).subspan(first, count),
              {rows.mutable_data_ptr<float>(), static_cast<std::size_t>(rows.numel())});
      return rows;
    });
  }

  // Logits are not needed, only what enters the head, and that only where somebody wants to learn of it.
  void observe_head(Desk& desk, Lanes& lanes, std::size_t index) {
    const ModelSpec& model = *desk.model().spec;
    if (desk.part().linears.empty() || desk.collects(model.head) == Collect::nothing) return;
    const TensorInfo& tensor = desk.model().checkpoint.at(model.final_norm.weight);
    std::vector<float> values(static_cast<std::size_t>(model.final_norm.size));
    widen(tensor.dtype, desk.get(facts::source).bytes.bytes(tensor), values);
    const at::Tensor norm = at::from_blob(values.data(), {model.final_norm.size}, at::kFloat);
    advance_lane(desk, lanes, index, false, [&](Moments& seen, std::int64_t, const at::Tensor& x) {
      seen.see(model.head, head_input(model, norm, x));
      return at::Tensor();
    });
  }

  // Advances all samples of a lane by function(seen, block, x); what was seen of the first lane joins the layer's
  // moments. `leaves`: what it gives is what leaves the layer.
  template <typename Function>
  void advance_lane(Desk& desk, Lanes& lanes, std::size_t index, bool leaves, const Function& function) {
    const Trace::Span span(desk.tools().trace, Track::compute, desk.visit().name, {.layer = desk.done().index});
    const StageTimes::Span time(&desk.tools().times, Stage::forward);
    const std::span<const Collect> wanted = index == 0 ? std::span(desk.tools().collects) : std::span<const Collect>();
    advance(lanes.states(index), desk.tools().stop, [&](std::int64_t block, const at::Tensor& x, Finish& finish) {
      const auto seen = std::make_shared<Moments>(wanted);
      at::Tensor y = function(*seen, block, x);
      Finish keep;
      if (leaves && y.defined()) keep = lanes.leave(index, block, y);
      finish = [this, seen, keep = std::move(keep)] {
        moments_->merge(*seen);
        if (keep) keep();
      };
      return y;
    });
  }

  Moments* moments_ = nullptr;  // of the layer
  std::vector<Lane> lanes_;
};

std::string_view type_name(BoundaryType type) { return type == BoundaryType::f32 ? "f32" : "bf16"; }

}  // namespace

extern const PassType propagate{
    .name = "propagate",
    .summary = "runs the calibration samples through the source's layer",
    .version = 1,
    .reads = {&facts::source, &facts::weights, &facts::boundary},
    .writes = {&facts::boundary, &facts::moments},
    .wanted = [](const PassQuestion& question) { return question.learns; },
    .cost = forward_cost,
    .work = propagate_work,
    .key = [](const KeyQuestion& question,
              Fingerprint& print) { print.add("--boundary", type_name(question.pass.request.calibration.boundary)); },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Propagate>(); },
};

}  // namespace strata::passes
