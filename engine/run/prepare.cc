#include "engine/run/prepare.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/graph/choose.h"
#include "engine/graph/facts.h"
#include "engine/output/output_folder.h"
#include "engine/passes/flip_lanes.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/render_store.h"
#include "engine/rounding/rounding.h"
#include "engine/run/calibration.h"
#include "engine/run/from_prices.h"
#include "engine/run/mixed_budget.h"
#include "engine/run/plan_details.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/sweep.h"
#include "engine/work/work_folder.h"
#include "formats/checkpoint/side_files.h"
#include "formats/text/shared_windows.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

constexpr std::uint64_t smallest_direct_output = 256u << 20;

std::string place_of(const PlacesRequest& places) { return places.output.empty() ? "." : places.output; }

// With `auto` four fifths of what there is: the rest is for others.
std::optional<std::uint64_t> allowed_memory(const MachineRequest& machine) {
  if (machine.automatic_memory) return usable_memory_bytes() / 5 * 4;
  return machine.max_memory > 0 ? std::optional(machine.max_memory) : std::nullopt;
}

ScaleRule scale_rule(const RoundingRequest& rounding) {
  const ScaleRule rule = require_rounding_method(rounding.method_name()).rule;
  return rounding.parity ? ScaleRule::compressed_tensors : rule;
}

// What deciding about memory needs to know beside the plan.
struct Limits {
  int threads = 1;
  std::uint64_t data = 0, base = 0;
};

// Plans every sweep; the largest peak of them.
std::uint64_t cut_sweeps(RunPlan& plan, const QuantizeRequest& request, const Limits& limits, std::uint64_t limit) {
  const PassQuestion question = plan.question(request);
  for (PlannedSweep& sweep : plan.sweeps)
    sweep.cut = plan_memory({.pass = question,
                             .sweep = sweep.passes,
                             .collects = plan.collects,
                             .moving = sweep.moving,
                             .found = sweep.found,
                             .threads = limits.threads,
                             .data = limits.data,
                             .base = limits.base},
                            limit);
  return plan.peak_memory();
}

// What hidden states of some windows look like, wherever they travel.
void set_shapes(RunPlan& plan, Windows windows, const BoundaryShape& shape) {
  for (PlannedSweep& sweep : plan.sweeps)
    for (std::vector<MovingStates>* all : {&sweep.moving, &sweep.found})
      for (MovingStates& states : *all)
        if (states.fact->windows == windows) states.shape = shape;
}

// Those of the calibration windows, and of the first of them that see flips.
void set_calibration_shapes(RunPlan& plan, const QuantizeRequest& request, std::int64_t samples, std::int64_t tokens) {
  const std::int64_t hidden = plan.model.spec->hidden;
  const BoundaryType type = request.calibration.boundary;
  set_shapes(plan, Windows::calibration, boundary_shape(samples, tokens, hidden, type));
  set_shapes(plan, Windows::flips, boundary_shape(flip_windows(request, samples, tokens), tokens, hidden, type));
}

// Fewer windows, else shorter ones, by halves: the first amount of data whose peak is at most `limit`.
std::string less_data(RunPlan& plan, const QuantizeRequest& request, const Limits& limits, std::uint64_t limit) {
  const CalibrationRequest& data = request.calibration;
  const auto fits = [&](std::int64_t samples, std::int64_t tokens) {
    set_calibration_shapes(plan, request, samples, tokens);
    return cut_sweeps(plan, request, limits, limit) <= limit;
  };
  for (std::int64_t samples = data.nsamples / 2; samples > 0; samples /= 2)
    if (fits(samples, data.seqlen)) return fmt::format("--nsamples {}", samples);
  for (std::int64_t tokens = data.seqlen / 2; tokens > 0; tokens /= 2)
    if (fits(data.nsamples, tokens)) return fmt::format("--seqlen {}", tokens);
  return "";
}

std::string data_that_fits(RunPlan& plan, const QuantizeRequest& request, const Limits& limits, std::uint64_t limit) {
  if (!plan.learns) return "";
  const std::vector<PlannedSweep> as_asked = plan.sweeps;
  std::string text = less_data(plan, request, limits, limit);
  plan.sweeps = as_asked;
  return text;
}

// Which passes the run is made of, in which sweeps, and what they want to learn.
void choose(RunPlan& plan, const QuantizeRequest& request) {
  const CalibrationRequest& data = request.calibration;
  const std::vector<const PassType*> without = choose_passes(pass_types(), plan.question(request));
  plan.collects = what_to_collect(without, plan.question(request));
  plan.learns = !request.mixed.from.empty() ? false
                : plan.assignment           ? needs_calibration(plan.model, data, *plan.assignment, plan.collects)
                                            : !data.dataset.empty();
  const std::vector<const PassType*> passes = choose_passes(pass_types(), plan.question(request));
  plan.collects = what_to_collect(passes, plan.question(request));
  std::vector<const FactInfo*> given;
  if (plan.assignment) given.push_back(&facts::assignment);
  for (SweepPlan& sweep : plan_sweeps(passes, given)) {
    PlannedSweep& planned = plan.sweeps.emplace_back(PlannedSweep{.passes = std::move(sweep), .cut = {}});
    for (const PassType* pass : planned.passes.passes)
      for (const FactInfo* fact : pass->writes)
        if (fact->moves_on)
          planned.moving.push_back(
              {.fact = fact,
               .lanes = pass->lanes == nullptr ? 1 : static_cast<std::size_t>(pass->lanes(plan.question(request))),
               .starts = pass->starts == nullptr ? std::vector<std::size_t>() : pass->starts(plan.question(request))});
  }
  for (std::size_t i = 0; i < plan.sweeps.size(); ++i)
    for (const FactInfo* fact : plan.sweeps[i].passes.finds)
      for (std::size_t earlier = 0; earlier < i; ++earlier)
        if (const MovingStates* const made = find_states(plan.sweeps[earlier].moving, *fact))
          plan.sweeps[i].found.push_back(*made);
}

// Whether a pass of the run is to compute the assignment.
bool decides_itself(const OpenModel& model, const QuantizeRequest& request) {
  const PassQuestion question{.model = model, .request = request, .learns = !request.calibration.dataset.empty()};
  return std::ranges::any_of(choose_passes(pass_types(), question),
                             [](const PassType* pass) { return pass->writes.contains(facts::assignment); });
}

}  // namespace

namespace {

// What is chosen on some windows is told of others.
void cut_in_three(RunTokens& tokens, const QuantizeRequest& request) {
  constexpr std::int64_t least = 6;  // two in each, or there is no standard error
  const MeasuredWindows all = std::move(*tokens.held_out);
  if (all.inputs.rows < least)
    fail(Fault::input,
         "{}: has {} windows of {} tokens, but {} chooses, confirms and tells by two each: {} are needed; give more "
         "text "
         "or more --heldout-tokens, or {}",
         request.measure.held_out, all.inputs.rows, MeasureRequest::window,
         request.mixed.polish > 0 ? "--polish" : "--pareto without -b", least,
         request.mixed.polish > 0 ? "leave --polish out" : "say -b");
  const auto reports = [](std::int64_t row) { return third_of(row) == Third::report; };
  tokens.held_out = some_of(all, "report", reports);
  tokens.selection = some_of(all, "select and confirm", [&](std::int64_t row) { return !reports(row); });
}

}  // namespace

RunTokens tokens_of(RunPlan& plan, const QuantizeRequest& request) {
  RunTokens tokens;
  if (plan.learns) tokens.calibration = calibration_tokens(request.calibration, plan.model);
  if (!request.measures()) return tokens;
  const TokenRows& rows = tokens.held_out.emplace(held_out_tokens(request, plan.model)).inputs;
  if (const auto shared = find_shared(*tokens.calibration, rows, MeasureRequest::window))
    fail(
        Fault::input,
        "{}: window {} has {} tokens in a row of window {} of {}: what is learnt from says little about the rest; give "
        "other text with --heldout",
        request.measure.held_out, shared->row, shared->tokens, shared->known_row, request.calibration.dataset);
  if (request.mixed.measuring_chooses()) cut_in_three(tokens, request);
  const auto set = [&](Windows windows, const MeasuredWindows& own) {
    set_shapes(plan, windows, boundary_shape(own.inputs.rows, own.inputs.columns, plan.model.spec->hidden));
  };
  set(Windows::held_out, *tokens.held_out);
  if (tokens.selection) set(Windows::selection, *tokens.selection);
  return tokens;
}

RunKeys keys_of(const RunPlan& plan, const QuantizeRequest& request, const RunTokens& tokens) {
  return {plan,
          request,
          tokens.learnt_from(),
          {.held_out = tokens.held_out ? tokens.held_out->inputs.hash : "",
           .selection = tokens.selection ? tokens.selection->inputs.hash : ""}};
}

void lay_out(RunPlan& plan, const QuantizeRequest& request) {
  plan.output = plan_output(plan.model, *plan.assignment, request.places.shard_size);
  // A small output is better off in the page cache, where whoever looks at it next finds it.
  if (plan.output->total_bytes >= smallest_direct_output) plan.write_mode = WriteMode::direct;
}

RunPlan prepare(const QuantizeRequest& request, const ComputeSession& session) {
  return plan_run(open_model(request.places.model), request, session.threads());
}

RunPlan plan_run(OpenModel model, const QuantizeRequest& request, int threads) {
  const CalibrationRequest& data = request.calibration;
  RunPlan plan{.model = std::move(model)};
  if (request.mixed.pareto) plan.frontier_lanes = request.mixed.pareto->bits().size();
  if (request.mixed.polish > 0) plan.frontier_lanes = static_cast<std::size_t>(request.mixed.polish) + 1;
  if (request.mixed.wanted()) plan.most_output = require_budget(plan.question(request));
  if (!request.mixed.from.empty()) {
    plan.assignment = assignment_from_prices(plan.model, request);
    plan.stored = stored_linears(plan.question(request));
  } else if (!decides_itself(plan.model, request))
    plan.assignment = assign_formats(plan.model, request.assignment,
                                     {.rule = scale_rule(request.rounding), .has_data = !data.dataset.empty()});
  if (plan.assignment) plan.decisions = plan.assignment->decisions;
  for (const LeftOut& left_out : list_side_files(request.places.model).left_out)
    plan.decisions.emplace_back(left_out.name, left_out.why);
  if (request.mixed.wanted())
    for (auto& decision : probe_menu(plan.question(request)).decisions) plan.decisions.push_back(std::move(decision));
  choose(plan, request);
  if (!plan.learns && !data.dataset.empty())
    plan.decisions.emplace_back(data.dataset, "not used: nothing in this run learns from it");
  if (plan.assignment) lay_out(plan, request);
  give_back_freed_memory();  // what laying out 100,000 names took
  if (plan.learns) set_calibration_shapes(plan, request, data.nsamples, data.seqlen);
  if (request.measures()) {
    const std::int64_t windows = request.measure.tokens / MeasureRequest::window + 1;
    const std::int64_t chosen_by = request.mixed.measuring_chooses() ? windows - windows / 3 : 0;
    const auto set = [&](Windows of, std::int64_t count) {
      set_shapes(plan, of, boundary_shape(count, MeasureRequest::window, plan.model.spec->hidden));
    };
    set(Windows::held_out, std::max<std::int64_t>(windows - chosen_by, 1));
    set(Windows::selection, chosen_by);
  }
  const Limits limits{
      .threads = threads, .data = plan.learns ? data_memory(request, plan.model) : 0, .base = resident_bytes()};
  plan.allowed_memory = allowed_memory(request.machine);
  const std::uint64_t usable = usable_memory_bytes();
  const std::uint64_t peak = cut_sweeps(plan, request, limits, plan.allowed_memory.value_or(usable));
  // Where the plan is wrong the run ends with an error that names the holders, not out of memory.
  plan.memory_limit = plan.allowed_memory.value_or(std::max(peak, usable));
  if (!plan.allowed_memory && peak > usable)
    plan.data_that_fits = data_that_fits(plan, request, limits, usable / 100 * 95);
  return plan;
}

// The limit to name: whole MiB and one more, because the process that is given it is not resident to the same page.
static std::string limit_that_works(std::uint64_t peak) {
  constexpr std::uint64_t mib = 1u << 20;
  return fmt::format("{}MiB", align_up(peak, mib) / mib + 1);
}

void require_quantized(const PlanSummary& plan, const QuantizeRequest& request) {
  if (plan.nothing.empty() || request.assignment.allow_nothing) return;
  fail(Fault::usage, "{}: {}; --allow-nothing writes the model all the same", request.places.model, plan.nothing);
}

void require_fit(const PlanSummary& plan, const QuantizeRequest& request) {
  if (plan.memory_limit > 0 && plan.peak_memory > plan.memory_limit)
    fail(Fault::budget, "memory: the run needs {} but --max-memory is {}; the smallest limit that works is {}",
         human_bytes(plan.peak_memory), human_bytes(plan.memory_limit), limit_that_works(plan.peak_memory));
  if (plan.peak_memory > plan.available_memory)
    fail(Fault::budget, "memory: the run needs {} but {} are available; {}", human_bytes(plan.peak_memory),
         human_bytes(plan.available_memory),
         plan.data_that_fits.empty() ? "end other programs, or use a machine that has more"
                                     : plan.data_that_fits + " fits");
  if (plan.output_bytes > plan.free_disk)
    fail(Fault::budget, "{}: the output needs {} of disk but {} are free", place_of(request.places),
         human_bytes(plan.output_bytes), human_bytes(plan.free_disk));
  const std::string work =
      request.places.work_directory.empty() ? place_of(request.places) : request.places.work_directory;
  const std::uint64_t stale = stale_work_bytes(work), free = free_disk_bytes(work) + stale;
  if (plan.work_disk > free)
    fail(Fault::budget, "{}: hidden states need {} of disk but {} are free", work, human_bytes(plan.work_disk),
         human_bytes(free));
  if (same_disk(work, place_of(request.places)) && plan.output_bytes + plan.work_disk > plan.free_disk + stale)
    fail(Fault::budget,
         "{}: the output needs {} of disk and hidden states need {}, but {} are free; -w on another disk helps",
         place_of(request.places), human_bytes(plan.output_bytes), human_bytes(plan.work_disk),
         human_bytes(plan.free_disk + stale));
  if (request.machine.disk > 0 && plan.work_disk > request.machine.disk)
    fail(Fault::budget, "--disk {}: the hidden states of three layers need {}; the smallest limit that works is {}",
         human_bytes(request.machine.disk), human_bytes(plan.work_disk), plan.work_disk);
}

PlanSummary summarize(const RunPlan& plan, const QuantizeRequest& request) {
  const PlacesRequest& places = request.places;
  const std::string place = place_of(places);
  const ModelSpec& spec = *plan.model.spec;
  const Cut& cut = plan.sweeps.front().cut.cut;
  PlanSummary summary{.family = spec.family,
                      .layers = static_cast<int>(spec.layers.size()),
                      .calibrate = plan.learns,
                      .source_bytes = plan.model.checkpoint.total_bytes(),
                      .peak_memory = plan.peak_memory(),
                      .memory_limit = plan.allowed_memory.value_or(0),
                      .work_disk = plan.work_disk(),
                      .threads = cut.threads,
                      .layers_in_flight = std::min(most_uncommitted, static_cast<int>(plan.model.visits.size())),
                      .states_in_memory = cut.in_memory,
                      .output_known = plan.output.has_value(),
                      .free_disk = free_disk_bytes(place) + stale_partial_bytes(place),
                      .available_memory = usable_memory_bytes(),
                      .decisions = plan.decisions,
                      .data_that_fits = plan.data_that_fits};
  for (const PlannedSweep& sweep : plan.sweeps) {
    summary.sweeps.push_back(sweep.passes);
    if (sweep.passes.direction != Direction::none) summary.bytes_read += summary.source_bytes;
  }
  summary.output_bytes = summary.bytes_written = plan.most_output;
  if (plan.assignment) summary.nothing = plan.assignment->nothing;
  if (plan.output) {
    if (!plan.stored.empty())
      for (const Part& part : cut_run(plan.question(request), plan.sweeps.front().passes, cut.limits))
        for (const TensorPiece& piece : part.pieces) summary.bytes_read += piece.bytes;
    summary.output_bytes = summary.bytes_written = plan.output->total_bytes;
    summary.tensor_bytes = plan.output->tensor_bytes;
    summary.shards = static_cast<int>(plan.output->shards.size());
    summary.bits_per_parameter = plan.output->bits_per_parameter;
    summary.linears_per_format = plan.output->linears_per_format;
  }
  for (const LayerSpec& layer : spec.layers)
    if (const int experts = expert_count(layer); experts > 0) summary.experts = experts;
  return summary;
}

PlanSummary plan_quantize(const QuantizeRequest& request, bool measure) {
  const ComputeSession session(request.machine.device, request.machine.threads);
  const RunPlan plan = prepare(request, session);
  PlanSummary summary = summarize(plan, request);
  add_details(summary, plan, request, measure);
  return summary;
}

}  // namespace strata
