// Runs hidden states through the layer: what enters this layer becomes what enters the next one.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <memory>
#include <vector>

#include "cache/codec_choice.h"
#include "cache/fingerprint.h"
#include "engine/model/layer.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/forward_through.h"
#include "engine/passes/layer_work.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

namespace strata::passes {
namespace {

class Propagate final : public Pass {
 public:
  void begin(Desk& desk) override { moments_ = &desk.make(facts::moments); }

  void part(Desk& desk) override {
    // What is learnt of single columns is used once, unless a later sweep wants it.
    if (!desk.keeps(facts::moments)) moments_->forget_columns();
    Lanes& lanes = desk.advance(facts::boundary);
    forward_.part(desk, lanes, *desk.tools().tokens, [&](std::size_t lane) {
      return ForwardThrough::Through{&desk.get(facts::weights), lanes.spec(lane).inputs, watch(desk, lane)};
    });
    const Part& part = desk.part();
    if (part.kind != Part::Kind::head && (part.kind != Part::Kind::logits || part.first_row > 0)) return;
    for (std::size_t lane = 0; lane < lanes.count(); ++lane)
      if (lanes.spec(lane).model == &desk.model()) observe_head(desk, lanes, lane);
  }

  void end(Desk& desk) override { forward_.end(desk, desk.advance(facts::boundary), *desk.tools().tokens); }

 private:
  // What was seen of the first lane joins the layer's moments; others are not looked at.
  std::function<std::shared_ptr<SiteObserver>(Finish&)> watch(const Desk& desk, std::size_t lane) {
    if (lane != 0) return {};
    return [this, wanted = std::span(desk.tools().collects)](Finish& then) {
      auto seen = std::make_shared<Moments>(wanted);
      then = [this, seen] { moments_->merge(*seen); };
      return seen;
    };
  }

  // Logits are not needed, only what enters the head, and that only where somebody wants to learn of it.
  void observe_head(Desk& desk, Lanes& lanes, std::size_t lane) {
    const ModelSpec& model = *desk.model().spec;
    if (desk.visit().linears.empty() || desk.collects(model.head) == Collect::nothing) return;
    const TensorInfo& tensor = desk.model().checkpoint.at(model.final_norm.weight);
    std::vector<float> values(static_cast<std::size_t>(model.final_norm.size));
    widen(tensor.dtype, desk.get(facts::source).bytes.bytes(tensor), values);
    const at::Tensor norm = at::from_blob(values.data(), {model.final_norm.size}, at::kFloat);
    ForwardThrough::advance_lane(desk, lanes, lane, false, {.watch = watch(desk, lane)},
                                 [&](SiteObserver* seen, std::int64_t, const at::Tensor& x) {
                                   if (seen != nullptr) seen->see(model.head, head_input(model, norm, x));
                                   return at::Tensor();
                                 });
  }

  Moments* moments_ = nullptr;  // of the layer
  ForwardThrough forward_;
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
    .cost =
        [](const CostQuestion& question, CostSheet& sheet) {
          const MovingStates& states = question.states_of(facts::boundary);
          states_cost(question, states, sheet);
          moments_cost(question, states, sheet);
        },
    .work = propagate_work,
    .key = [](const KeyQuestion& question,
              Fingerprint& print) { print.add("--boundary", type_name(question.pass.request.calibration.boundary)); },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Propagate>(); },
};

}  // namespace strata::passes
