#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "tests/reverse/back_propagate.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/model/pull_back.h"
#include "engine/passes/forward_cost.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"
#include "profiles/layer_questions.h"

namespace strata::test {
namespace {

// The mixer's part is held until the layer ends: first what leaves the mixer is computed again, then each group of
// experts adds what it gives to the gradient there, and at the end that goes back through the mixer.
class BackPropagate final : public Pass {
 public:
  void part(Desk& desk) override {
    Lanes& lanes = desk.advance(cotangents);
    switch (desk.part().kind) {
      case Part::Kind::head:
      case Part::Kind::logits:
        if (desk.part().first) take_given(desk, lanes);
        break;
      case Part::Kind::mixer:
        begin_layer(desk, lanes);
        break;
      case Part::Kind::mlp:
      case Part::Kind::experts:
        add_part(desk, lanes);
        break;
      default:
        break;
    }
  }

  void end(Desk& desk) override {
    Lanes& lanes = desk.advance(cotangents);
    if (desk.visit().kind == Visit::Kind::layer) end_layer(desk, lanes);
    if (desk.visit().kind == Visit::Kind::head) leave(lanes);
    if (desk.visit().kind == Visit::Kind::embedding) write_found(desk, lanes);
    mixer_ = nullptr;
    mixer_bytes_ = nullptr;
  }

 private:
  static std::string file(const Desk& desk, const char* name) {
    return join_path(desk.tools().question.request.places.work_directory, name);
  }

  static void take_given(const Desk& desk, Lanes& lanes) {
    const InputFile in(file(desk, given_file));
    std::uint64_t at = 0;
    for (std::size_t k = 0; k < lanes.count(); ++k)
      for (std::int64_t block = 0; block < lanes.shape().blocks(); ++block) {
        std::vector<float> values(lanes.shape().values_in(block));
        in.read_at(at, std::as_writable_bytes(std::span(values)));
        lanes.states(k).store(block, values);
        at += values.size() * sizeof(float);
      }
  }

  // What leaves the last layer, unchanged.
  static void leave(const Lanes& lanes) {
    for (std::size_t k = 0; k < lanes.count(); ++k)
      for (std::int64_t block = 0; block < lanes.shape().blocks(); ++block) {
        at::Tensor values = lanes.states(k).load(block);
        if (const Finish keep = lanes.leave(k, block, values)) keep();
      }
  }

  static void write_found(const Desk& desk, const Lanes& lanes) {
    OutputFile out(file(desk, found_file), lanes.count() * float_bytes(lanes.shape()));
    std::uint64_t at = 0;
    for (std::size_t k = 0; k < lanes.count(); ++k)
      for (std::int64_t block = 0; block < lanes.shape().blocks(); ++block) {
        const at::Tensor values = lanes.states(k).load(block).contiguous();
        out.write_at(at, {static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
        at += values.nbytes();
      }
    out.sync();
  }

  void begin_layer(Desk& desk, const Lanes& lanes) {
    mixer_ = desk.share(facts::weights);
    mixer_bytes_ = desk.share(facts::source);  // float32 weights lie there
    const auto room = [&](std::optional<Boundary>& states) {
      if (!states) states.emplace(desk.tools().more_states());
    };
    room(middle_);
    gradients_.resize(lanes.count());
    for (std::optional<Boundary>& states : gradients_) room(states);
    const Lanes& entering = desk.get(facts::boundary);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::off, [&](std::int64_t block) {
      LinearSite site(*mixer_, ActivationMode::none);
      const at::Tensor x = entering.states(0).load(block);
      middle_->store(block, run_mixer(*desk.visit().layer, *mixer_, site, x));
      for (std::size_t k = 0; k < gradients_.size(); ++k)
        gradients_[k]->store(block, lanes.states(k).load(block));  // past the experts
      return Finish();
    });
  }

  // The gradient at what leaves the mixer grows by what goes through these experts, or through the MLP.
  void add_part(Desk& desk, const Lanes& lanes) {
    const LayerSpec& layer = *desk.visit().layer;
    const Part& part = desk.part();
    const LayerWeights& weights = desk.get(facts::weights);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
      std::vector<at::Tensor> above;
      for (std::size_t k = 0; k < lanes.count(); ++k) above.push_back(lanes.states(k).load(block).clone());
      const auto through = [&](const at::Tensor& middle) {
        LinearSite router(*mixer_, ActivationMode::none), experts(weights, ActivationMode::none);
        const MoeSpec* const moe = experts_of(layer);
        if (moe == nullptr) return run_mlp(layer, *mixer_, experts, middle);
        const at::Tensor x = ffn_input(layer, *mixer_, middle);
        const at::Tensor rows = x.reshape({-1, x.size(-1)});
        at::Tensor ids, shares;
        route(*moe, router, rows, ids, shares);
        at::Tensor sum = at::zeros_like(rows);
        add_experts(*moe, {part.first_expert, part.end_expert}, experts, rows, ids, shares, sum);
        return ffn_output(layer, *mixer_, sum.view(x.sizes()));
      };
      const std::vector<at::Tensor> found = pull_back(middle_->load(block).clone(), above, through);
      for (std::size_t k = 0; k < found.size(); ++k) gradients_[k]->store(block, gradients_[k]->load(block) + found[k]);
      return Finish();
    });
  }

  void end_layer(Desk& desk, Lanes& lanes) {
    const Lanes& entering = desk.get(facts::boundary);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
      std::vector<at::Tensor> above;
      for (const std::optional<Boundary>& states : gradients_) above.push_back(states->load(block).clone());
      std::vector<at::Tensor> found =
          pull_back(entering.states(0).load(block).clone(), above, [&](const at::Tensor& x) {
            LinearSite site(*mixer_, ActivationMode::none);
            return run_mixer(*desk.visit().layer, *mixer_, site, x);
          });
      std::vector<Finish> leave(found.size());
      for (std::size_t k = 0; k < found.size(); ++k) {
        leave[k] = lanes.leave(k, block, found[k]);
        lanes.states(k).store(block, found[k]);
      }
      return [leave = std::move(leave)] {
        for (const Finish& one : leave)
          if (one) one();
      };
    });
  }

  std::shared_ptr<const LayerWeights> mixer_;
  std::shared_ptr<const LoadedPart> mixer_bytes_;
  std::optional<Boundary> middle_;                  // what leaves the mixer
  std::vector<std::optional<Boundary>> gradients_;  // there
};

void cost(const CostQuestion& question, CostSheet& sheet) {
  forward_cost(question, sheet);
  const std::uint64_t sets = static_cast<std::uint64_t>(question.lanes) + 2;
  if (question.cut.in_memory) sheet.add(Resource::host, "boundary", sets * float_bytes(question.states));
  // What autograd keeps of a block.
  sheet.add(Resource::host, "forward", 3 * sheet.of(Resource::host, "forward"));
}

}  // namespace

extern const PassType back_propagate{
    .name = "back_propagate",
    .summary = "takes cotangents back through the layer",
    .direction = Direction::reverse,
    .reads = {&facts::weights, &facts::source, &facts::boundary, &cotangents},
    .writes = {&cotangents},
    .cost = cost,
    .lanes = [](const PassQuestion&) { return cotangent_sets; },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<BackPropagate>(); },
};

}  // namespace strata::test
