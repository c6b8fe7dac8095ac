// Measures what is being written: the output, its parts and the uniform alternatives run beside the source through each
// layer while it is there, on text that nothing was learnt from.
#include <fmt/core.h>

#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "cache/fingerprint.h"
#include "engine/measure/divergence_meters.h"
#include "engine/measure/measured.h"
#include "engine/passes/candidates.h"
#include "engine/passes/evaluate_work.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/forward_through.h"
#include "engine/passes/frontier_facts.h"
#include "engine/passes/held_out.h"
#include "engine/passes/lane_logits.h"
#include "engine/passes/menu_lanes.h"
#include "engine/passes/pareto_table.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/served_renders.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata::passes {
namespace {

constexpr std::size_t chosen_lane = 1;

bool measures_frontier(const PassQuestion& question) {
  return question.request.mixed.pareto && !question.request.mixed.measuring_chooses();
}

class Evaluate final : public Pass {
 public:
  explicit Evaluate(const PassQuestion& question)
      : candidates_(candidates_of(question)), renders_(question), mode_(served_by(question.request.mixed.runtime)) {}

  // Where the budget is given, those of --pareto travel along.
  void begin(Desk& desk) override {
    if (!points_.empty() || !measures_frontier(desk.tools().question)) return;
    points_ = desk.get(facts::frontier).lanes;
    for (const FrontierLane& lane : points_)
      candidates_.push_back({.name = lane.name(), .weights = Candidate::Weights::point, .inputs = true});
  }

  void part(Desk& desk) override {
    Lanes& lanes = desk.advance(facts::held_out);
    const MeasuredWindows& windows = *desk.tools().held_out;
    if (desk.part().kind == Part::Kind::logits) {
      if (!meters_) meters_.emplace(lanes.count(), windows);
      head_.take(desk);
      const StageTimes::Span time(&desk.tools().times, Stage::forward);
      const auto head_of = [&](std::size_t) -> const HeadRows& { return head_; };
      return read_lane_logits(lanes, head_of, {"evaluate", desk.tools().stop}, *meters_);
    }
    if (desk.visit().layer != nullptr) serve(desk);
    forward_.part(desk, lanes, windows.inputs, [&](std::size_t lane) {
      return ForwardThrough::Through{&served_.at(lane), candidates_[lane].inputs ? mode_ : ActivationMode::none};
    });
  }

  void end(Desk& desk) override {
    forward_.end(desk, desk.advance(facts::held_out), desk.tools().held_out->inputs);
    if (desk.visit().kind == Visit::Kind::head) tell(desk);
  }

 private:
  // What each lane runs through in the desk's part.
  void serve(Desk& desk) {
    served_.clear();
    const LayerWeights& source = desk.get(facts::weights);
    LayerWeights chosen = source.view(), inputs = source.view();
    chosen_.make(desk, chosen, inputs);
    renders_.make(desk);
    std::size_t point = 0;
    for (const Candidate& candidate : candidates_) {
      if (candidate.weights == Candidate::Weights::point)
        served_.push_back(renders_.with(desk, source, points_.at(point++).allocation.option));
      else if (candidate.weights == Candidate::Weights::source)
        served_.push_back((candidate.inputs ? inputs : source).view());
      else
        served_.push_back(chosen.view());
      if (candidate.weights == Candidate::Weights::uniform) take_option(desk, candidate, served_.back());
    }
  }

  void take_option(const Desk& desk, const Candidate& candidate, LayerWeights& served) const {
    for (const LinearSpec* linear : desk.part().linears) {
      const MenuUnit* const unit = renders_.unit_of(*linear);
      if (const auto option = unit == nullptr ? std::nullopt : option_of(candidate, *unit))
        renders_.take(*linear, *option, served);
    }
  }

  void tell(Desk& desk) {
    Measured measured{.tokens = desk.tools().held_out->inputs.hash};
    for (std::size_t lane = chosen_lane; lane < candidates_.size() - points_.size(); ++lane) {
      MeasuredCandidate& one = measured.candidates.emplace_back(
          MeasuredCandidate{.name = candidates_[lane].name, .divergence = meters_->of_lane(lane)});
      if (lane != chosen_lane) one.above_chosen = meters_->above(lane, chosen_lane);
      if (lane != chosen_lane && candidates_[lane].format == nullptr) continue;
      one.bytes = candidate_bytes(candidates_[lane], renders_.menu(), desk.get(facts::assignment));
      one.bits = renders_.menu().bits(*one.bytes);
    }
    measured.frontier = frontier_points(desk);
    if (const FrontierFound* const found = desk.find(facts::frontier_found)) measured.moves = found->moves;
    write_text(join_path(desk.tools().question.request.places.work_directory, work_names::measured),
               measured_json(measured));
    for (std::string& line : measured_lines(measured)) desk.decide("measured", std::move(line));
    require_tail(measured, desk.tools().question.request.measure.allow_tail);
    meters_.reset();
  }

  // Of --pareto: measured here, or where they were chosen between.
  std::vector<MeasuredPoint> frontier_points(Desk& desk) const {
    if (const FrontierFound* const found = desk.find(facts::frontier_found)) return found->points;
    std::vector<MeasuredPoint> points;
    for (std::size_t i = 0; i < points_.size(); ++i) {
      const Allocation& chosen = points_[i].allocation;
      const Divergence measured = meters_->of_lane(candidates_.size() - points_.size() + i);
      points.push_back({.bits_asked = points_[i].bits,
                        .bits = renders_.menu().bits(chosen.bytes),
                        .bytes = chosen.bytes,
                        .predicted = chosen.cost,
                        .predicted_error = chosen.standard_error,
                        .measured = measured.kl_mean,
                        .measured_error = measured.kl_se,
                        .tail = measured.kl_p99});
    }
    if (points.empty()) return points;
    for (std::string& line : frontier_lines(points)) desk.decide("frontier", std::move(line));
    write_pareto_table(desk, desk.get(facts::frontier), points);
    return points;
  }

  std::vector<Candidate> candidates_;  // those of points_ come last
  std::vector<FrontierLane> points_;
  MenuLanes renders_;
  const ActivationMode mode_;
  ServedRenders chosen_;
  std::vector<LayerWeights> served_;  // by lane, of the part
  ForwardThrough forward_;
  HeadRows head_;
  std::optional<DivergenceMeters> meters_;
};

std::uint64_t rendered(const PassQuestion& question, const Part& part) {
  if (part.visit->layer == nullptr) return 0;
  // Decoded of each format, and while they are made codes and scratch; and those that are written.
  return 2 * MenuRenders::memory(part, question.request.mixed.formats.size()) + ServedRenders::memory(part);
}

void key(const KeyQuestion& question, Fingerprint& print) {
  menu_key(question.pass, print);
  // Judged there: whoever takes it back must not go on from what would be refused.
  if (question.visit.kind == Visit::Kind::head)
    print.add("--allow-tail", question.pass.request.measure.allow_tail ? "yes" : "no");
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  const MovingStates& states = question.states_of(facts::held_out);
  states_cost(question, states, sheet);
  lane_logits_cost(question, states, 1, sheet);
  sheet.add(Resource::host, "renders", question.sizes.largest(rendered));
  sheet.add(Resource::host, "divergences", DivergenceMeters::memory(states.lanes, states.positions()));
}

}  // namespace

extern const PassType evaluate{
    .name = "evaluate",
    .summary = "measures the output and its alternatives against the source, on held-out text",
    .version = 1,
    .reads = {&facts::source, &facts::weights, &facts::renders, &facts::assignment, &facts::moments, &facts::held_out},
    .uses = {&facts::frontier, &facts::frontier_found},
    .writes = {&facts::held_out},
    .wanted = [](const PassQuestion& question) { return question.request.measures(); },
    .collects = [](const PassQuestion& question, const LinearPlan&) { return probe_collects(question); },
    .cost = cost,
    .work = evaluate_work,
    .key = key,
    .lanes =
        [](const PassQuestion& question) {
          const std::size_t points = measures_frontier(question) ? question.frontier_lanes : 0;
          return static_cast<int>(candidates_of(question).size() + points);
        },
    .logits = HeadUse::rows,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<Evaluate>(question);
    },
};

}  // namespace strata::passes
