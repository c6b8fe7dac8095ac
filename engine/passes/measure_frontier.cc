// Measures choices beside each other, on windows that the result is not told of: those for several budgets, to find the
// one that is worth its bytes, or small changes of one, to find those that make it better.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/file.h"
#include "cache/fingerprint.h"
#include "engine/measure/divergence_meters.h"
#include "engine/measure/move_choice.h"
#include "engine/measure/point_choice.h"
#include "engine/passes/candidates.h"
#include "engine/passes/evaluate_work.h"
#include "engine/passes/forward_cost.h"
#include "engine/passes/forward_through.h"
#include "engine/passes/frontier_facts.h"
#include "engine/passes/lane_logits.h"
#include "engine/passes/menu_lanes.h"
#include "engine/passes/pareto_table.h"
#include "engine/passes/probe_menu.h"
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

// Meters of all lanes, for the windows of one third.
class ThirdMeters {
 public:
  ThirdMeters(std::size_t lanes, const MeasuredWindows& windows, Third third)
      : windows_{.inputs = {}, .next = windows.next, .window = windows.window}, meters_(lanes, windows_) {
    for (std::size_t i = 0; i < windows_.next.size(); ++i)
      if (third_of(windows_.window[i]) != third) windows_.next[i] = -1;
  }
  DivergenceMeters& meters() { return meters_; }
  const DivergenceMeters& meters() const { return meters_; }
  std::int64_t windows() const {
    std::set<std::int64_t> all;
    for (std::size_t i = 0; i < windows_.next.size(); ++i)
      if (windows_.next[i] >= 0) all.insert(windows_.window[i]);
    return std::ssize(all);
  }

 private:
  MeasuredWindows windows_;  // of which others are left out
  DivergenceMeters meters_;
};

class Both final : public LogitsReader {
 public:
  Both(LogitsReader& first, LogitsReader& second) : all_{&first, &second} {}
  void read(const LogitsPiece& piece) override {
    for (LogitsReader* const one : all_) one->read(piece);
  }

 private:
  const std::array<LogitsReader*, 2> all_;
};

// Budgets are held against formats everywhere; small changes of a choice are not.
std::vector<const NumberFormat*> compared_formats(const PassQuestion& question) {
  return question.request.mixed.polish > 0 ? std::vector<const NumberFormat*>() : uniform_formats(question);
}

// Of two sets of windows together.
double mean_of(const Divergence& a, const Divergence& b) {
  const auto n = static_cast<double>(a.tokens), m = static_cast<double>(b.tokens);
  return (n * a.kl_mean + m * b.kl_mean) / (n + m);
}
double error_of(const Divergence& a, const Divergence& b) {
  const auto n = static_cast<double>(a.tokens), m = static_cast<double>(b.tokens);
  return std::hypot(n * a.kl_se, m * b.kl_se) / (n + m);
}

class MeasureFrontier final : public Pass {
 public:
  explicit MeasureFrontier(const PassQuestion& question)
      : renders_(question), mode_(served_by(question.request.mixed.runtime)) {}

  void begin(Desk& desk) override {
    desk.make(facts::frontier_found);
    if (!options_.empty()) return;
    for (const FrontierLane& lane : desk.get(facts::frontier).lanes) options_.push_back(lane.allocation.option);
    points_ = options_.size();
    for (const NumberFormat* format : compared_formats(desk.tools().question))
      options_.push_back(renders_.all_in(*format));
  }

  void part(Desk& desk) override {
    Lanes& lanes = desk.advance(facts::frontier_states);
    const MeasuredWindows& windows = *desk.tools().selection;
    if (desk.part().kind == Part::Kind::logits) {
      if (!select_) select_ = std::make_unique<ThirdMeters>(lanes.count(), windows, Third::select);
      if (!confirm_) confirm_ = std::make_unique<ThirdMeters>(lanes.count(), windows, Third::confirm);
      head_.take(desk);
      const StageTimes::Span time(&desk.tools().times, Stage::forward);
      const auto head_of = [&](std::size_t) -> const HeadRows& { return head_; };
      Both both(select_->meters(), confirm_->meters());
      return read_lane_logits(lanes, head_of, {"measure_frontier", desk.tools().stop}, both);
    }
    if (desk.visit().layer != nullptr) serve(desk);
    forward_.part(desk, lanes, windows.inputs, [&](std::size_t lane) {
      return ForwardThrough::Through{&served_.at(lane), lane > 0 ? mode_ : ActivationMode::none};
    });
  }

  void end(Desk& desk) override {
    forward_.end(desk, desk.advance(facts::frontier_states), desk.tools().selection->inputs);
    if (desk.visit().kind == Visit::Kind::head) tell(desk);
  }

 private:
  void serve(Desk& desk) {
    served_.clear();
    renders_.make(desk);
    const LayerWeights& source = desk.get(facts::weights);
    served_.push_back(source.view());
    for (const std::vector<std::uint32_t>& options : options_) served_.push_back(renders_.with(desk, source, options));
  }

  // The 99th percentile of the uniform alternative of at most so many bytes whose KL is least.
  double uniform_tail(std::uint64_t bytes, const DivergenceMeters& meters) const {
    std::optional<Divergence> best;
    for (std::size_t i = points_; i < options_.size(); ++i)
      if (renders_.bytes(options_[i]) <= bytes)
        if (const Divergence one = meters.of_lane(i + 1); !best || one.kl_mean < best->kl_mean) best = one;
    return best ? best->kl_p99 : std::numeric_limits<double>::infinity();
  }

  void tell(Desk& desk) {
    FrontierFound& found = desk.make(facts::frontier_found);
    const Frontier& frontier = desk.get(facts::frontier);
    desk.tools().question.request.mixed.polish > 0 ? take_moves(frontier, found) : take_point(desk, frontier, found);
    select_.reset();
    confirm_.reset();
  }

  // A choice among budgets.
  void take_point(Desk& desk, const Frontier& frontier, FrontierFound& found) {
    const DivergenceMeters &select = select_->meters(), &confirm = confirm_->meters();
    std::vector<PointRecord> records;
    for (std::size_t i = 0; i < points_; ++i) {
      const Allocation& chosen = frontier.lanes[i].allocation;
      const PointRecord& mine = records.emplace_back(PointRecord{.name = frontier.lanes[i].name(),
                                                                 .bytes = chosen.bytes,
                                                                 .bits = renders_.menu().bits(chosen.bytes),
                                                                 .select = select.of_lane(i + 1),
                                                                 .confirm = confirm.of_lane(i + 1),
                                                                 .select_tail = uniform_tail(chosen.bytes, select),
                                                                 .confirm_tail = uniform_tail(chosen.bytes, confirm)});
      found.points.push_back({.bits_asked = frontier.lanes[i].bits,
                              .bits = mine.bits,
                              .bytes = mine.bytes,
                              .predicted = chosen.cost,
                              .predicted_error = chosen.standard_error,
                              .measured = mean_of(mine.select, mine.confirm),
                              .measured_error = error_of(mine.select, mine.confirm),
                              .tail = std::max(mine.select.kl_p99, mine.confirm.kl_p99),
                              .selected = mine.select.kl_mean});
    }
    const auto paired = [](const DivergenceMeters& meters) {
      return [&meters](std::size_t point, std::size_t other) { return meters.above(point + 1, other + 1); };
    };
    const QuantizeRequest& request = desk.tools().question.request;
    PointChoice choice = decide_point(records, paired(select), paired(confirm), request.measure.allow_tail);
    found.option = frontier.lanes[choice.point].allocation.option;
    found.reasons = std::move(choice.reasons);
    found.points[choice.point].chosen = true;
    for (std::string& line : frontier_lines(found.points)) desk.decide("frontier", std::move(line));
    write_pareto_table(desk, frontier, found.points);
  }

  // Small changes of one choice.
  void take_moves(const Frontier& frontier, FrontierFound& found) const {
    const DivergenceMeters &select = select_->meters(), &confirm = confirm_->meters();
    const Allocation& base = frontier.lanes.front().allocation;
    const std::int64_t windows = confirm_->windows();
    found.option = base.option;
    std::vector<MoveRecord> records;
    for (std::size_t i = 1; i < points_; ++i) {
      const Allocation& mine = frontier.lanes[i].allocation;
      MoveRecord& record = records.emplace_back(
          MoveRecord{.select = select.above(1, i + 1),
                     .confirm = confirm.above(1, i + 1),
                     .bytes = static_cast<std::int64_t>(mine.bytes) - static_cast<std::int64_t>(base.bytes)});
      for (std::size_t u = 0; u < base.option.size(); ++u)
        if (mine.option[u] != base.option[u]) record.units.push_back(u);
      found.moves.push_back({.name = frontier.lanes[i].name(),
                             .bytes = record.bytes,
                             .predicted = base.cost - mine.cost,
                             .select = record.select,
                             .confirm = record.confirm,
                             .p = p_value(record, windows)});
    }
    const auto room = static_cast<std::int64_t>(base.budget - base.bytes);
    for (const std::size_t i : confirmed_moves(records, windows, room)) {
      found.moves[i].taken = true;
      for (const std::size_t u : records[i].units) found.option[u] = frontier.lanes[i + 1].allocation.option[u];
    }
    found.reasons = move_lines(found.moves);
  }

  MenuLanes renders_;
  const ActivationMode mode_;
  std::vector<std::vector<std::uint32_t>> options_;  // of the lanes but the first: points, then formats everywhere
  std::size_t points_ = 0;
  std::vector<LayerWeights> served_;  // by lane, of the part
  ForwardThrough forward_;
  HeadRows head_;
  std::unique_ptr<ThirdMeters> select_, confirm_;
};

std::uint64_t rendered(const PassQuestion& question, const Part& part) {
  if (part.visit->layer == nullptr) return 0;
  // Decoded of each format, and while they are made codes and scratch.
  return 2 * MenuRenders::memory(part, question.request.mixed.formats.size());
}

void key(const KeyQuestion& question, Fingerprint& print) {
  menu_key(question.pass, print);
  if (question.visit.kind == Visit::Kind::head)
    print.add("--allow-tail", question.pass.request.measure.allow_tail ? "yes" : "no");
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  const MovingStates& states = question.states_of(facts::frontier_states);
  states_cost(question, states, sheet);
  lane_logits_cost(question, states, 1, sheet);
  sheet.add(Resource::host, "renders", question.sizes.largest(rendered));
  sheet.add(Resource::host, "divergences", 2 * DivergenceMeters::memory(states.lanes, states.positions()));
}

}  // namespace

extern const PassType measure_frontier{
    .name = "measure_frontier",
    .summary = "measures choices beside each other, on held-out text",
    .version = 1,
    .reads = {&facts::source, &facts::weights, &facts::moments, &facts::frontier, &facts::frontier_states},
    .writes = {&facts::frontier_states, &facts::frontier_found},
    .wanted = [](const PassQuestion& question) { return question.request.mixed.measuring_chooses(); },
    .collects = [](const PassQuestion& question, const LinearPlan&) { return probe_collects(question); },
    .cost = cost,
    .work = evaluate_work,
    .key = key,
    .lanes =
        [](const PassQuestion& question) {
          return static_cast<int>(1 + question.frontier_lanes + compared_formats(question).size());
        },
    .logits = HeadUse::rows,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<MeasureFrontier>(question);
    },
};

}  // namespace strata::passes
