// Tries units alone in their smallest encoding, beside the source, where tokens may change experts behind them: what
// that costs beyond the price of the unit no gradient sees.
#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/measure/divergence_meters.h"
#include "engine/passes/flip_facts.h"
#include "engine/passes/flip_lanes.h"
#include "engine/passes/flips_work.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/forward_through.h"
#include "engine/passes/lane_logits.h"
#include "engine/passes/largest_inputs.h"
#include "engine/passes/menu_renders.h"
#include "engine/passes/probe_menu.h"
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

constexpr std::size_t source_lane = 0;  // those of flip_lanes() follow

// The first windows of the calibration data. A token without a next one counts as well: prices count it too.
MeasuredWindows first_windows(const TokenRows& tokens, std::int64_t rows) {
  MeasuredWindows windows{.inputs = {.rows = rows, .columns = tokens.columns}, .next = {}, .window = {}};
  const auto count = static_cast<std::ptrdiff_t>(rows * tokens.columns);
  windows.inputs.ids.assign(tokens.ids.begin(), tokens.ids.begin() + count);
  windows.inputs.lengths.assign(tokens.lengths.begin(), tokens.lengths.begin() + rows);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = 0; column < tokens.columns; ++column) {
      windows.next.push_back(column < tokens.lengths[static_cast<std::size_t>(row)] ? tokens.row(row)[column] : -1);
      windows.window.push_back(row);
    }
  return windows;
}

class Flips final : public Pass {
 public:
  explicit Flips(const PassQuestion& question)
      : menu_(probe_menu(question)),
        index_(question.model, menu_),
        tried_(flip_lanes(question, menu_)),
        mode_(served_by(question.request.mixed.runtime)),
        renders_(index_, probe_method(question), probe_rule(question), question.request.mixed.runtime) {}

  void begin(Desk& desk) override {
    Lanes& lanes = desk.advance(facts::flips);
    if (!windows_) windows_.emplace(first_windows(*desk.tools().tokens, lanes.shape().samples));
    if (desk.visit().layer == nullptr) return;
    for (std::size_t i = 0; i < tried_.size(); ++i)
      if (tried_[i].starts == desk.visit_index()) ForwardThrough::fork(desk, lanes, source_lane, i + 1);
  }

  void part(Desk& desk) override {
    Lanes& lanes = desk.advance(facts::flips);
    if (desk.part().kind == Part::Kind::logits) {
      if (!meters_) meters_.emplace(lanes.count(), *windows_);
      head_.take(desk);
      const StageTimes::Span time(&desk.tools().times, Stage::forward);
      const auto head_of = [&](std::size_t) -> const HeadRows& { return head_; };
      return read_lane_logits(lanes, head_of, {"flips", desk.tools().stop}, *meters_);
    }
    served_.clear();
    served_.resize(lanes.count());
    inputs_.clear();
    bool rendered = false;
    forward_.part(desk, lanes, windows_->inputs, [&](std::size_t lane) {
      const LayerWeights& source = desk.get(facts::weights);
      if (lane == source_lane) return ForwardThrough::Through{.weights = &source, .watch = watch_experts(desk)};
      const std::vector<const MenuUnit*> here = units_here(desk, tried_[lane - 1]);
      if (here.empty()) return ForwardThrough::Through{.weights = &source};
      if (!rendered) render(desk);
      rendered = true;
      return ForwardThrough::Through{&serve(desk, here, lane), mode_};
    });
  }

  void end(Desk& desk) override {
    forward_.end(desk, desk.advance(facts::flips), windows_->inputs);
    FlipDivergences& divergences = desk.make(facts::flip_divergences);
    if (desk.visit().kind == Visit::Kind::head) tell(divergences);
  }

 private:
  // What experts share is known only after the last of them; each is served here by what comes to itself.
  ForwardThrough::Watch watch_experts(const Desk& desk) {
    if (desk.part().kind != Part::Kind::experts) return {};
    return [this](Finish& then) {
      auto seen = std::make_shared<LargestInputs>();
      then = [this, seen] { inputs_.merge(*seen); };
      return seen;
    };
  }

  std::vector<const MenuUnit*> units_here(const Desk& desk, const FlipLane& lane) const {
    std::vector<const MenuUnit*> units;
    for (const std::size_t unit : lane.units)
      if (menu_.units[unit].visit == desk.visit_index()) units.push_back(&menu_.units[unit]);
    return units;
  }

  bool is_tried(const MenuUnit& unit) const {
    const auto place = static_cast<std::size_t>(&unit - menu_.units.data());
    return std::ranges::any_of(
        tried_, [&](const FlipLane& lane) { return std::ranges::find(lane.units, place) != lane.units.end(); });
  }

  void render(Desk& desk) {
    MenuRenders::Wanted wanted{
        .option = [this](const MenuUnit& unit,
                         std::size_t option) { return is_tried(unit) && option == smallest_encoding(unit); },
        .stored = false};
    if (desk.part().kind == Part::Kind::experts)
      wanted.input_amax = [this](const LinearSpec& linear) { return inputs_.find(linear); };
    renders_.make(desk, wanted);
  }

  const LayerWeights& serve(const Desk& desk, const std::vector<const MenuUnit*>& units, std::size_t lane) {
    LayerWeights& served = served_[lane].emplace(desk.get(facts::weights).view());
    for (const LinearSpec* linear : desk.part().linears) {
      const MenuUnit* const unit = index_.unit_of(*linear);
      if (std::ranges::find(units, unit) == units.end()) continue;
      const MenuRenders::Served& render = *renders_.find(*linear, smallest_encoding(*unit));
      served.serve(*linear, render.weight);
      if (render.quantize != nullptr)
        served.serve_input(*linear, {unit->options[smallest_encoding(*unit)].format, render.input_scale});
    }
    return served;
  }

  void tell(FlipDivergences& divergences) {
    for (std::size_t i = 0; i < tried_.size(); ++i) {
      FlipDivergence& mine = divergences.lanes.emplace_back();
      for (const std::size_t unit : tried_[i].units) mine.units.push_back(menu_.units[unit].members.front()->module);
      const MenuUnit& first = menu_.units[tried_[i].units.front()];
      mine.format = first.options[smallest_encoding(first)].format->name;
      const std::vector<DivergenceMeter::OfWindow> windows = meters_->of_windows(i + 1);
      for (const DivergenceMeter::OfWindow& window : windows) mine.sums.push_back(window.sum);
      if (i > 0) continue;
      for (const DivergenceMeter::OfWindow& window : windows) divergences.tokens.push_back(window.tokens);
    }
    meters_.reset();
    head_.release();
  }

  const Menu menu_;
  const MenuIndex index_;
  const std::vector<FlipLane> tried_;
  const ActivationMode mode_;
  MenuRenders renders_;
  std::optional<MeasuredWindows> windows_;
  LargestInputs inputs_;                             // of the part's experts
  std::vector<std::optional<LayerWeights>> served_;  // by lane, of the part
  ForwardThrough forward_;
  HeadRows head_;
  std::optional<DivergenceMeters> meters_;
};

std::uint64_t rendered(const PassQuestion&, const Part& part) {
  if (part.visit->layer == nullptr) return 0;
  return 2 * MenuRenders::memory(part, 1);  // decoded; and while they are made codes and scratch
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  const MovingStates& states = question.states_of(facts::flips);
  states_cost(question, states, sheet);
  lane_logits_cost(question, states, 1, sheet);
  sheet.add(Resource::host, "renders", question.sizes.largest(rendered));
  sheet.add(Resource::host, "divergences", DivergenceMeters::memory(states.lanes, states.positions()));
}

std::vector<FlipLane> lanes_of(const PassQuestion& question) {
  if (!question.request.mixed.wanted()) return {};  // without a menu
  return flip_lanes(question, probe_menu(question));
}

}  // namespace

extern const PassType flips{
    .name = "flips",
    .summary = "tries units alone where tokens may change experts behind them",
    .version = 1,
    .reads = {&facts::source, &facts::weights, &facts::moments, &facts::flips},
    .writes = {&facts::flips, &facts::flip_divergences},
    .wanted = [](const PassQuestion& question) { return !lanes_of(question).empty(); },
    .collects = [](const PassQuestion& question, const LinearPlan&) { return probe_collects(question); },
    .cost = cost,
    .work = flips_work,
    .key =
        [](const KeyQuestion& question, Fingerprint& print) {
          menu_key(question.pass, print);
          print.add("--flip-tokens", std::to_string(question.pass.request.mixed.flip_tokens));
        },
    .lanes = [](const PassQuestion& question) { return static_cast<int>(lanes_of(question).size()) + 1; },
    .starts =
        [](const PassQuestion& question) {
          std::vector<std::size_t> starts = {0};
          for (const FlipLane& lane : lanes_of(question)) starts.push_back(lane.starts);
          return starts;
        },
    .logits = HeadUse::rows,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<Flips>(question);
    },
};

}  // namespace strata::passes
