// Takes random directions of the model's output back through the layer and scores every option of its units on the way.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <optional>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/model/pull_back.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/output_cotangents.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/score_site.h"
#include "engine/passes/scores.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"
#include "engine/work/format_keys.h"
#include "profiles/layer_questions.h"

namespace strata::passes {
namespace {

// The mixer's part is held until the layer ends: first what leaves the mixer is computed again, then the MLP or each
// group of experts adds what it gives to the gradient there, and at the end that goes back through the mixer.
class Probe final : public Pass {
 public:
  explicit Probe(const PassQuestion& question)
      : menu_(probe_menu(question)),
        index_(question.model, menu_),
        probes_(question.request.mixed.probes),
        mixer_renders_(index_, probe_method(question), probe_rule(question), question.request.mixed.runtime),
        renders_(index_, probe_method(question), probe_rule(question), question.request.mixed.runtime) {}

  void begin(Desk& desk) override {
    units_.clear();
    for (const MenuUnit& unit : menu_.units)
      if (unit.visit == desk.visit_index()) units_.push_back(&unit);
    const BoundaryShape& shape = desk.get(facts::boundary).shape();
    sums_.emplace(units_, static_cast<std::size_t>(shape.samples), static_cast<std::size_t>(probes_));
  }

  void part(Desk& desk) override {
    const StageTimes::Span time(&desk.tools().times, Stage::forward);
    switch (desk.part().kind) {
      case Part::Kind::logits:
        draw(desk);
        break;
      case Part::Kind::mixer:
        begin_layer(desk);
        break;
      case Part::Kind::mlp:
      case Part::Kind::experts:
        add_part(desk);
        break;
      default:
        break;
    }
  }

  void end(Desk& desk) override {
    const StageTimes::Span time(&desk.tools().times, Stage::forward);
    if (desk.visit().kind == Visit::Kind::layer) end_layer(desk);
    const BoundaryShape& shape = desk.get(facts::boundary).shape();
    Scores& scores = desk.make(facts::scores);
    scores.tokens = shape.samples * shape.tokens;
    scores.probes = static_cast<std::size_t>(probes_);
    for (const MenuUnit* unit : units_) {
      UnitScores& mine = scores.units.emplace_back(UnitScores{.unit = unit->members.front()->module});
      for (std::size_t i = 0; i < unit->options.size(); ++i) {
        OptionScores& option = mine.options.emplace_back();
        option.format = unit->options[i].format->name;
        if (unit->options[i].format->verbatim) continue;
        const std::span<const double> sums = sums_->of(*unit, i);
        option.values.assign(sums.begin(), sums.end());
      }
    }
    mixer_ = nullptr;
    mixer_bytes_ = nullptr;
  }

 private:
  static std::size_t first_sequence(const Lanes& lanes, std::int64_t block) {
    return static_cast<std::size_t>(block * lanes.shape().samples_per_block);
  }

  // What leaves the last layer gets the gradients of the output's directions.
  void draw(Desk& desk) {
    Lanes& lanes = desk.advance(facts::cotangents);
    const Lanes& entering = desk.get(facts::boundary);
    const BoundaryShape& shape = lanes.shape();
    output_.take(desk);
    visit_blocks(shape.blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
      const at::Tensor x = entering.states(0).load(block).clone();
      const std::vector<at::Tensor> found = output_.of(*desk.model().spec, x.view({-1, x.size(-1)}),
                                                       block * shape.samples_per_block * shape.tokens, probes_);
      std::vector<at::Tensor> leaving;
      leaving.reserve(found.size());
      for (const at::Tensor& one : found) leaving.push_back(one.view(x.sizes()));
      return leave(lanes, block, std::move(leaving));
    });
    output_.release();
  }

  static Finish leave(Lanes& lanes, std::int64_t block, std::vector<at::Tensor> found) {
    std::vector<Finish> finishes(found.size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      finishes[k] = lanes.leave(k, block, found[k]);
      lanes.states(k).store(block, found[k]);
    }
    return [finishes = std::move(finishes)] {
      for (const Finish& one : finishes)
        if (one) one();
    };
  }

  void begin_layer(Desk& desk) {
    const Lanes& lanes = desk.advance(facts::cotangents);
    mixer_ = desk.share(facts::weights);
    mixer_bytes_ = desk.share(facts::source);  // float32 weights lie there
    mixer_renders_.make(desk);
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
        gradients_[k]->store(block, lanes.states(k).load(block));  // past the MLP or the experts
      return Finish();
    });
  }

  // The gradient at what leaves the mixer grows by what goes through these experts, or through the MLP.
  void add_part(Desk& desk) {
    const Lanes& lanes = desk.advance(facts::cotangents);
    const LayerWeights& weights = desk.get(facts::weights);
    renders_.make(desk);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
      std::vector<at::Tensor> above;
      for (std::size_t k = 0; k < lanes.count(); ++k) above.push_back(lanes.states(k).load(block).clone());
      ScoreSite scores(index_, renders_, weights, first_sequence(lanes, block), *sums_);
      const auto through = [&](const at::Tensor& middle) { return run_part(desk, weights, scores, middle); };
      const std::vector<at::Tensor> found =
          pull_back(middle_->load(block).clone(), above, through, [&](std::size_t k) { scores.add_scores(k); });
      for (std::size_t k = 0; k < found.size(); ++k) gradients_[k]->store(block, gradients_[k]->load(block) + found[k]);
      return Finish();
    });
  }

  at::Tensor run_part(const Desk& desk, const LayerWeights& weights, ScoreSite& scores,
                      const at::Tensor& middle) const {
    const LayerSpec& layer = *desk.visit().layer;
    LinearSite router(*mixer_, ActivationMode::none), experts(weights, ActivationMode::none, &scores);
    const MoeSpec* const moe = experts_of(layer);
    if (moe == nullptr) return run_mlp(layer, *mixer_, experts, middle);
    const at::Tensor x = ffn_input(layer, *mixer_, middle);
    const at::Tensor rows = x.reshape({-1, x.size(-1)});
    at::Tensor ids, shares;
    route(*moe, router, rows, ids, shares);
    at::Tensor sum = at::zeros_like(rows);
    const std::vector<std::vector<std::int64_t>> tokens = tokens_by_expert(ids, moe->experts.size());
    for (std::size_t e = desk.part().first_expert; e < desk.part().end_expert; ++e) {
      scores.rows_are(tokens[e], x.size(1));
      add_experts(*moe, {e, e + 1}, experts, rows, ids, shares, sum);
    }
    return ffn_output(layer, *mixer_, sum.view(x.sizes()));
  }

  // In the order in which add_experts() takes them.
  static std::vector<std::vector<std::int64_t>> tokens_by_expert(const at::Tensor& ids, std::size_t experts) {
    std::vector<std::vector<std::int64_t>> tokens(experts);
    const at::Tensor flat = ids.contiguous();
    const auto* const id = flat.const_data_ptr<std::int64_t>();
    for (std::int64_t place = 0; place < flat.numel(); ++place)
      tokens[static_cast<std::size_t>(id[place])].push_back(place / flat.size(1));
    return tokens;
  }

  void end_layer(Desk& desk) {
    Lanes& lanes = desk.advance(facts::cotangents);
    const Lanes& entering = desk.get(facts::boundary);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
      std::vector<at::Tensor> above;
      for (const std::optional<Boundary>& states : gradients_) above.push_back(states->load(block).clone());
      ScoreSite scores(index_, mixer_renders_, *mixer_, first_sequence(lanes, block), *sums_);
      const auto through = [&](const at::Tensor& x) {
        LinearSite site(*mixer_, ActivationMode::none, &scores);
        return run_mixer(*desk.visit().layer, *mixer_, site, x);
      };
      return leave(lanes, block, pull_back(entering.states(0).load(block).clone(), above, through, [&](std::size_t k) {
                     scores.add_scores(k);
                   }));
    });
  }

  const Menu menu_;
  const MenuIndex index_;
  const int probes_;
  MenuRenders mixer_renders_, renders_;
  OutputCotangents output_;
  std::vector<const MenuUnit*> units_;  // of the visit
  std::optional<ScoreSums> sums_;
  std::shared_ptr<const LayerWeights> mixer_;
  std::shared_ptr<const LoadedPart> mixer_bytes_;
  std::optional<Boundary> middle_;                  // what leaves the mixer
  std::vector<std::optional<Boundary>> gradients_;  // there
};

std::uint64_t rendered(const PassQuestion& question, const Part& part) {
  return MenuRenders::memory(part, question.request.mixed.formats.size());
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  forward_cost(question, sheet);
  OutputCotangents::add_cost(question, sheet);
  const std::uint64_t sets = static_cast<std::uint64_t>(question.lanes) + 2;
  if (question.cut.in_memory) sheet.add(Resource::host, "boundary", sets * float_bytes(question.states));
  // Those of the mixer stay; codes and scratch of what is encoded on the way.
  sheet.add(Resource::host, "renders", 3 * question.sizes.largest(rendered));
  // What autograd keeps of a block, and what each option changes at each output.
  sheet.add(Resource::host, "forward",
            (3 + question.pass.request.mixed.formats.size()) * sheet.of(Resource::host, "forward"));
}

void key(const KeyQuestion& question, Fingerprint& print) {
  const MixedRequest& mixed = question.pass.request.mixed;
  // Which units there are, and what each may be.
  const AssignmentRequest& asked = question.pass.request.assignment;
  std::string menu = fmt::format("{} {} {}", formats_text(mixed), asked.strict, asked.allow_unservable);
  for (const std::string& pattern : asked.ignore) menu.append("\n").append(pattern);
  for (const auto& [pattern, format] : asked.overrides) menu.append("\n").append(pattern).append("=").append(format);
  print.add("--formats", menu);
  print.add("runtime", std::to_string(static_cast<int>(mixed.runtime)));
  print.add("--probes", std::to_string(mixed.probes));
  print.add("method", method_key(probe_method(question.pass), probe_rule(question.pass)));
}

}  // namespace

extern const PassType probe{
    .name = "probe",
    .summary = "scores every number format of the menu by the model's own output",
    .version = 1,
    .direction = Direction::reverse,
    .reads = {&facts::weights, &facts::source, &facts::boundary, &facts::moments, &facts::cotangents},
    .writes = {&facts::cotangents, &facts::scores},
    .collects = [](const PassQuestion& question, const LinearPlan&) { return probe_collects(question); },
    .cost = cost,
    .key = key,
    .lanes = [](const PassQuestion& question) { return question.request.mixed.probes; },
    .logits = true,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<Probe>(question);
    },
};

}  // namespace strata::passes
