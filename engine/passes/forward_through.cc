#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/forward_through.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"
#include "profiles/layer_questions.h"

namespace strata {

struct ForwardThrough::Route {
  at::Tensor ids, weights;
};

ForwardThrough::ForwardThrough() = default;
ForwardThrough::~ForwardThrough() = default;

namespace {

// In memory, rows of the embedding go to the tokens that want them as they come by.
void embed_piece(const Desk& desk, const TokenRows& tokens, Boundary& states) {
  const TensorPiece& piece = desk.part().pieces.front();
  if (desk.visit().kind != Visit::Kind::embedding || !states.in_memory()) return;
  const std::uint64_t row_bytes = piece.tensor->bytes / static_cast<std::uint64_t>(piece.tensor->shape[0]);
  embed(desk.model(), desk.get(facts::source).bytes.pieces().front(), static_cast<std::int64_t>(piece.skip / row_bytes),
        desk.decode_as(), tokens.ids, states.values(0, tokens.rows));
}

// In a scratch file, each block looks up its own.
void finish_embedding(const Desk& desk, const TokenRows& tokens, Lanes& lanes, std::size_t lane) {
  const Boundary& states = lanes.states(lane);
  ForwardThrough::advance_lane(
      desk, lanes, lane, true, {}, [&](SiteObserver*, std::int64_t block, const at::Tensor& x) {
        if (states.in_memory()) return x;
        at::Tensor rows = at::zeros_like(x);
        const auto first = static_cast<std::size_t>(block * states.shape().samples_per_block * tokens.columns);
        const auto count = static_cast<std::size_t>(states.shape().samples_in(block) * tokens.columns);
        look_up(desk.model(), desk.decode_as(), std::span(tokens.ids).subspan(first, count),
                {rows.mutable_data_ptr<float>(), static_cast<std::size_t>(rows.numel())});
        return rows;
      });
}

}  // namespace

void ForwardThrough::part(Desk& desk, Lanes& lanes, const TokenRows& tokens, const OfLane& of_lane) {
  const Part::Kind kind = desk.part().kind;
  if (kind != Part::Kind::copy && desk.visit().layer == nullptr) return;  // heads, sections
  travels_.resize(lanes.count());
  for (std::size_t lane = 0; lane < lanes.count(); ++lane) {
    if (lanes.spec(lane).model != &desk.model() || lanes.spec(lane).still) continue;
    if (kind == Part::Kind::copy)
      embed_piece(desk, tokens, lanes.states(lane));
    else
      run_part(desk, lanes, lane, of_lane(lane));
  }
}

void ForwardThrough::end(Desk& desk, Lanes& lanes, const TokenRows& tokens) {
  for (Travel& travel : travels_) travel.routes.clear();
  if (desk.visit().kind != Visit::Kind::embedding) return;
  for (std::size_t lane = 0; lane < lanes.count(); ++lane)
    if (lanes.spec(lane).model == &desk.model() && !lanes.spec(lane).still) finish_embedding(desk, tokens, lanes, lane);
}

void ForwardThrough::run_part(const Desk& desk, Lanes& lanes, std::size_t lane, const Through& through) {
  const LayerSpec& spec = *desk.visit().layer;
  const LayerWeights& weights = *through.weights;
  const Part& part = desk.part();
  Travel& travel = travels_[lane];
  if (part.kind == Part::Kind::mixer) travel.routes.resize(static_cast<std::size_t>(lanes.shape().blocks()));
  const bool alone = part.first_expert == 0 && part.last;  // one group: its sum needs no place of its own
  if (part.kind == Part::Kind::experts && !alone && !travel.sums)
    travel.sums = std::make_unique<Boundary>(desk.tools().more_states(lanes.shape()));

  advance_lane(desk, lanes, lane, part.last, through,
               [&](SiteObserver* observer, std::int64_t block, const at::Tensor& x) {
                 LinearSite site(weights, through.inputs, observer);
                 if (part.kind == Part::Kind::experts) return run_experts(desk, travel, through, site, block, x);
                 if (part.kind != Part::Kind::mixer) return x + run_mlp(spec, weights, site, x);
                 at::Tensor middle = run_mixer(spec, weights, site, x);
                 if (const MoeSpec* const moe = experts_of(spec)) {
                   Route& here = travel.routes[static_cast<std::size_t>(block)];
                   const at::Tensor rows = ffn_input(spec, weights, middle);
                   route(*moe, site, rows.view({-1, rows.size(-1)}), here.ids, here.weights);
                   here.ids = here.ids.to(at::kInt);
                 }
                 return middle;
               });
}

// Adds a group of experts to the sum of those before it; the last group adds the sum to what entered the experts.
at::Tensor ForwardThrough::run_experts(const Desk& desk, Travel& travel, const Through& through, LinearSite& site,
                                       std::int64_t block, const at::Tensor& middle) {
  const Part& part = desk.part();
  const LayerSpec& spec = *desk.visit().layer;
  const at::Tensor x = ffn_input(spec, *through.weights, middle);
  at::Tensor sum = part.first_expert == 0 ? at::zeros_like(x) : travel.sums->load(block);
  const Route& here = travel.routes[static_cast<std::size_t>(block)];
  at::Tensor rows = sum.view({-1, sum.size(-1)});
  add_experts(*experts_of(spec), {part.first_expert, part.end_expert}, site, x.view({-1, x.size(-1)}),
              here.ids.to(at::kLong), here.weights, rows);
  if (part.last) return middle + ffn_output(spec, *through.weights, sum);
  travel.sums->store(block, sum);
  return {};
}

void ForwardThrough::fork(const Desk& desk, Lanes& lanes, std::size_t from, std::size_t to) {
  visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::off, [&](std::int64_t block) {
    lanes.states(to).store(block, lanes.states(from).load(block));
    return Finish();
  });
  lanes.set_off(to);
}

void ForwardThrough::advance_lane(const Desk& desk, Lanes& lanes, std::size_t lane, bool leaves, const Through& through,
                                  const Step& step) {
  const Trace::Span span(desk.tools().trace, Track::compute, desk.visit().name,
                         {.layer = static_cast<int>(desk.visit_index())});
  const StageTimes::Span time(&desk.tools().times, Stage::forward);
  advance(lanes.states(lane), desk.tools().stop, [&](std::int64_t block, const at::Tensor& x, Finish& finish) {
    Finish then, keep;
    const std::shared_ptr<SiteObserver> observer = through.watch ? through.watch(then) : nullptr;
    at::Tensor y = step(observer.get(), block, x);
    if (y.defined()) keep = leaves ? lanes.leave(lane, block, y) : lanes.require_finite(lane, block, y);
    finish = [then = std::move(then), keep = std::move(keep)] {
      if (then) then();
      if (keep) keep();
    };
    return y;
  });
}

}  // namespace strata
