// Takes random directions of the model's output back through the layer and scores every option of its units on the way.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/passes/back_through.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/output_cotangents.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/probe_work.h"
#include "engine/passes/score_site.h"
#include "engine/passes/scores.h"
#include "engine/passes/source_perplexity.h"
#include "engine/prices/unseen.h"
#include "engine/sweep/not_finite.h"
#include "engine/sweep/pass.h"

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
    const Lanes& lanes = desk.advance(facts::cotangents);
    switch (desk.part().kind) {
      case Part::Kind::logits:
        draw(desk);
        break;
      case Part::Kind::mixer:
        mixer_renders_.make(desk);
        back_.begin_layer(desk, lanes);
        break;
      case Part::Kind::mlp:
      case Part::Kind::experts:
        renders_.make(desk);
        back_.add_part(desk, lanes, observers(lanes, renders_));
        break;
      default:
        break;
    }
  }

  void end(Desk& desk) override {
    const StageTimes::Span time(&desk.tools().times, Stage::forward);
    Lanes& lanes = desk.advance(facts::cotangents);
    if (desk.visit().kind == Visit::Kind::layer) back_.end_layer(desk, lanes, observers(lanes, mixer_renders_));
    desk.make(facts::scores, scores_of(desk, lanes.shape()));
    if (const std::vector<const LinearSpec*> unseen = sums_->unreached(); !unseen.empty())
      desk.decide(desk.visit().name,
                  fmt::format("no token of the data reached {} ({} Linears), of which prices know nothing; more "
                              "--nsamples reach more experts",
                              names_of_experts(unseen), unseen.size()));
  }

 private:
  MakeObserver observers(const Lanes& lanes, const MenuRenders& renders) {
    return [this, &renders, samples = lanes.shape().samples_per_block](std::int64_t block,
                                                                       const LayerWeights& weights) {
      return std::make_unique<ScoreSite>(index_, renders, weights, static_cast<std::size_t>(block * samples), *sums_);
    };
  }

  // What leaves the last layer gets the gradients of the output's directions, of a source that knows the text.
  void draw(Desk& desk) {
    Lanes& lanes = desk.advance(facts::cotangents);
    const Lanes& entering = desk.get(facts::boundary);
    const BoundaryShape& shape = lanes.shape();
    output_.take(desk);
    Surprise all;
    visit_blocks(shape.blocks(), desk.tools().stop, Grad::on, [&](std::int64_t block) {
      const at::Tensor x = entering.states(0).load(block).clone();
      Surprise here;
      std::vector<at::Tensor> found =
          output_.of(*desk.model().spec, x.view({-1, x.size(-1)}), block * shape.samples_per_block * shape.tokens,
                     probes_, [&](std::int64_t first, const at::Tensor& logits, const at::Tensor& p) {
                       here += surprise_of(*desk.tools().tokens, first, logits, p);
                     });
      for (at::Tensor& one : found) one = one.view(x.sizes());
      return [this, &desk, &all, here, leave = BackThrough::leave(lanes, block, std::move(found))] {
        all += here;
        if (std::isnan(here.nats)) fail_logits(desk);
        leave();
      };
    });
    output_.release();
    const QuantizeRequest& request = desk.tools().question.request;
    const double limit = perplexity_limit(request, desk.model().spec->vocabulary);
    desk.decide("source", require_perplexity(all, limit, request));
  }

  [[noreturn]] void fail_logits(const Desk& desk) const {
    const auto broken = [&] { return output_.not_finite(*desk.model().spec); };
    fail_not_finite(desk.model().checkpoint.directory(),
                    {.visit = desk.visit().name, .pass = "probe", .what = "logits", .broken = broken}, "");
  }

  // No price comes from a score that is not finite.
  static void require_finite(const Desk& desk, const MenuUnit& unit, const OptionScores& option) {
    if (!first_not_finite(option.values)) return;
    fail(Fault::input,
         "{}: {}, pass probe: scores of {} in {} are not finite: what it changes there is too large for float32; leave "
         "{} out of --formats, or {} keeps it",
         desk.model().checkpoint.directory(), desk.visit().name, unit.members.front()->module, option.format,
         option.format, ignore_options(desk.visit(), *unit.members.front()));
  }

  Scores scores_of(const Desk& desk, const BoundaryShape& shape) const {
    Scores scores{.tokens = shape.samples * shape.tokens, .probes = static_cast<std::size_t>(probes_)};
    for (const MenuUnit* unit : units_) {
      UnitScores& mine = scores.units.emplace_back(
          UnitScores{.unit = unit->members.front()->module, .reached = sums_->reached_of(*unit)});
      for (std::size_t i = 0; i < unit->options.size(); ++i) {
        OptionScores& option = mine.options.emplace_back();
        option.format = unit->options[i].format->name;
        if (unit->options[i].source) continue;
        const std::span<const double> sums = sums_->of(*unit, i);
        option.values.assign(sums.begin(), sums.end());
        for (const double trace : sums_->trace_of(*unit, i))
          option.trace.push_back(static_cast<float>(std::sqrt(trace / static_cast<double>(probes_))));
        require_finite(desk, *unit, option);
      }
    }
    return scores;
  }

  const Menu menu_;
  const MenuIndex index_;
  const int probes_;
  MenuRenders mixer_renders_, renders_;  // those of the mixer stay until the layer ends
  OutputCotangents output_;
  BackThrough back_;
  std::vector<const MenuUnit*> units_;  // of the visit
  std::optional<ScoreSums> sums_;
};

std::uint64_t rendered(const PassQuestion& question, const Part& part) {
  return MenuRenders::memory(part, question.request.mixed.formats.size());
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  const std::uint64_t before = sheet.of(Resource::host, "forward");
  const MovingStates& cotangents = question.states_of(facts::cotangents);
  BackThrough::add_cost(question, cotangents, sheet);
  moments_cost(question, cotangents, sheet);
  OutputCotangents::add_cost(question, cotangents, sheet);
  // Those of the mixer stay; codes and scratch of what is encoded on the way.
  sheet.add(Resource::host, "renders", 3 * question.sizes.largest(rendered));
  // What each option changes at each output of a block, beside a forward and what autograd keeps of it: four times
  // that.
  std::uint64_t most = 0, all = 0;  // scores of a visit, and of the model
  for (const Visit& visit : question.pass.model.visits) {
    const std::uint64_t options = format_units(visit, question.pass.request.assignment.per_expert).size() *
                                  question.pass.request.mixed.formats.size();
    const std::uint64_t bytes =
        options * (256 + static_cast<std::uint64_t>(cotangents.shape.samples) * (cotangents.lanes + 1) * sizeof(float));
    most = std::max(most, bytes);
    all += bytes;
  }
  sheet.add(Resource::host, "scores", 6 * most);  // summed in double, as numbers, and twice as they are kept
  sheet.add(Resource::disk, "scores", all);
  const std::uint64_t forward = (sheet.of(Resource::host, "forward") - before) / 4;
  sheet.add(Resource::host, "forward", 4 * question.pass.request.mixed.formats.size() * forward);
}

void key(const KeyQuestion& question, Fingerprint& print) {
  menu_key(question.pass, print);
  print.add("--probes", std::to_string(question.pass.request.mixed.probes));
  // Judged there: whoever lowers it must not go on from what would be refused.
  if (question.visit.kind == Visit::Kind::head)
    print.add("--max-source-ppl", fmt::format("{}", question.pass.request.mixed.max_source_perplexity));
}

}  // namespace

extern const PassType probe{
    .name = "probe",
    .summary = "scores every number format of the menu by the model's own output",
    .version = 3,
    .direction = Direction::reverse,
    .reads = {&facts::weights, &facts::source, &facts::boundary, &facts::moments, &facts::cotangents},
    .writes = {&facts::cotangents, &facts::scores},
    .collects = [](const PassQuestion& question, const LinearPlan&) { return probe_collects(question); },
    .cost = cost,
    .work = probe_work,
    .key = key,
    .lanes = [](const PassQuestion& question) { return question.request.mixed.probes; },
    .logits = HeadUse::whole,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<Probe>(question);
    },
};

}  // namespace strata::passes
