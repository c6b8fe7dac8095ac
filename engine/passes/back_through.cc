#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/back_through.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/model/pull_back.h"
#include "engine/passes/forward_cost.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

// In the order in which add_experts() takes them.
std::vector<std::vector<std::int64_t>> tokens_by_expert(const at::Tensor& ids, std::size_t experts) {
  std::vector<std::vector<std::int64_t>> tokens(experts);
  const at::Tensor flat = ids.contiguous();
  const auto* const id = flat.const_data_ptr<std::int64_t>();
  for (std::int64_t place = 0; place < flat.numel(); ++place)
    tokens[static_cast<std::size_t>(id[place])].push_back(place / flat.size(1));
  return tokens;
}

std::function<void(std::size_t)> tell(BackObserver* observer) {
  if (observer == nullptr) return {};
  return [observer](std::size_t k) { observer->gradients_came(k); };
}

std::unique_ptr<BackObserver> make(const MakeObserver& observers, std::int64_t block, const LayerWeights& weights) {
  return observers ? observers(block, weights) : nullptr;
}

}  // namespace

Finish BackThrough::leave(Lanes& cotangents, std::int64_t block, std::vector<at::Tensor> found) {
  std::vector<Finish> finishes(found.size());
  for (std::size_t k = 0; k < found.size(); ++k) {
    finishes[k] = cotangents.leave(k, block, found[k]);
    cotangents.states(k).store(block, found[k]);
  }
  return [finishes = std::move(finishes)] {
    for (const Finish& one : finishes)
      if (one) one();
  };
}

void BackThrough::begin_layer(Desk& desk, const Lanes& cotangents) {
  mixer_ = desk.share(facts::weights);
  mixer_bytes_ = desk.share(facts::source);  // float32 weights lie there
  const auto room = [&](std::optional<Boundary>& states) {
    if (!states) states.emplace(desk.tools().more_states(cotangents.shape()));
  };
  room(middle_);
  gradients_.resize(cotangents.count());
  for (std::optional<Boundary>& states : gradients_) room(states);
  const Lanes& entering = desk.get(facts::boundary);
  visit_blocks(cotangents.shape().blocks(), desk.tools().stop, Grad::off, [&](std::int64_t block) {
    LinearSite site(*mixer_, ActivationMode::none);
    middle_->store(block, run_mixer(*desk.visit().layer, *mixer_, site, entering.states(0).load(block)));
    for (std::size_t k = 0; k < gradients_.size(); ++k)
      gradients_[k]->store(block, cotangents.states(k).load(block));  // past the MLP or the experts
    return Finish();
  });
}

void BackThrough::add_part(Desk& desk, const Lanes& cotangents, const MakeObserver& observers) {
  const LayerWeights& weights = desk.get(facts::weights);
  visit_blocks(cotangents.shape().blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
    std::vector<at::Tensor> above;
    for (std::size_t k = 0; k < gradients_.size(); ++k) above.push_back(cotangents.states(k).load(block).clone());
    const std::unique_ptr<BackObserver> observer = make(observers, block, weights);
    const auto through = [&](const at::Tensor& middle) { return run_part(desk, weights, observer.get(), middle); };
    const std::vector<at::Tensor> found = pull_back(middle_->load(block).clone(), above, through, tell(observer.get()));
    for (std::size_t k = 0; k < found.size(); ++k) gradients_[k]->store(block, gradients_[k]->load(block) + found[k]);
    return Finish();
  });
}

at::Tensor BackThrough::run_part(const Desk& desk, const LayerWeights& weights, BackObserver* observer,
                                 const at::Tensor& middle) const {
  const LayerSpec& layer = *desk.visit().layer;
  LinearSite router(*mixer_, ActivationMode::none), site(weights, ActivationMode::none, observer);
  const MoeSpec* const moe = experts_of(layer);
  if (moe == nullptr) return run_mlp(layer, *mixer_, site, middle);
  const at::Tensor x = ffn_input(layer, *mixer_, middle);
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  at::Tensor ids, shares;
  route(*moe, router, rows, ids, shares);
  at::Tensor sum = at::zeros_like(rows);
  const std::size_t first = desk.part().first_expert, end = desk.part().end_expert;
  if (observer == nullptr) {
    add_experts(*moe, {first, end}, site, rows, ids, shares, sum);
  } else {
    const std::vector<std::vector<std::int64_t>> tokens = tokens_by_expert(ids, moe->experts.size());
    for (std::size_t e = first; e < end; ++e) {
      observer->rows_are(tokens[e], x.size(1));
      add_experts(*moe, {e, e + 1}, site, rows, ids, shares, sum);
    }
  }
  return ffn_output(layer, *mixer_, sum.view(x.sizes()));
}

void BackThrough::end_layer(Desk& desk, Lanes& cotangents, const MakeObserver& observers) {
  const Lanes& entering = desk.get(facts::boundary);
  visit_blocks(cotangents.shape().blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
    std::vector<at::Tensor> above;
    for (const std::optional<Boundary>& states : gradients_) above.push_back(states->load(block).clone());
    const std::unique_ptr<BackObserver> observer = make(observers, block, *mixer_);
    const auto through = [&](const at::Tensor& x) {
      LinearSite site(*mixer_, ActivationMode::none, observer.get());
      return run_mixer(*desk.visit().layer, *mixer_, site, x);
    };
    return leave(cotangents, block,
                 pull_back(entering.states(0).load(block).clone(), above, through, tell(observer.get())));
  });
  mixer_ = nullptr;
  mixer_bytes_ = nullptr;
}

void BackThrough::add_cost(const CostQuestion& question, const MovingStates& cotangents, CostSheet& sheet) {
  states_cost(question, cotangents, sheet);
  const std::uint64_t sets = static_cast<std::uint64_t>(cotangents.lanes) + 2;
  if (question.cut.in_memory) sheet.add(Resource::host, "boundary", sets * float_bytes(cotangents.shape));
  // What autograd keeps of a block.
  sheet.add(Resource::host, "forward", 3 * sheet.of(Resource::host, "forward"));
}

}  // namespace strata
