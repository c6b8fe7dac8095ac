#include "engine/eval/forward_run.h"

#include <tbb/task_arena.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/device/tensor_memory.h"
#include "engine/eval/forward_work.h"
#include "engine/eval/read_logits.h"
#include "engine/graph/facts.h"
#include "engine/sweep/boundary_keeper.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/sweep.h"

namespace strata {
namespace {

using Models = std::vector<const OpenModel*>;

// In the order of their first lanes.
Models models_of(std::span<const LaneSpec> lanes) {
  Models models;
  for (const LaneSpec& lane : lanes)
    if (std::ranges::find(models, lane.model) == models.end()) models.push_back(lane.model);
  return models;
}

void require_alike(const Models& models) {
  const ModelSpec& first = *models.front()->spec;
  for (const OpenModel* model : models) {
    const auto refuse = [&](std::string_view what, auto here, auto there) {
      fail(Fault::input, "{} has {} {} but {} has {}; they cannot be compared", model->checkpoint.directory(), here,
           what, models.front()->checkpoint.directory(), there);
    };
    if (model->spec->layers.size() != first.layers.size())
      refuse("layers", model->spec->layers.size(), first.layers.size());
    if (model->spec->hidden != first.hidden) refuse("hidden channels", model->spec->hidden, first.hidden);
    if (model->visits.size() != models.front()->visits.size())
      refuse("layers and sections", model->visits.size(), models.front()->visits.size());
  }
}

// Visit by visit, the parts of each model; pieces of heads lie beside each other.
std::vector<Part> cut_models(const Models& models, PartLimits limits, std::uint64_t piece_bytes) {
  limits.piece_bytes = piece_bytes;
  const bool whole_head = std::ranges::any_of(models, [](const OpenModel* model) { return !has_dense_head(*model); });
  std::vector<Part> parts;
  for (std::size_t i = 0; i < models.front()->visits.size(); ++i) {
    if (models.front()->visits[i].kind == Visit::Kind::section) continue;  // no forward looks into it
    std::vector<std::vector<Part>> of_models;
    for (const OpenModel* model : models) of_models.push_back(cut_forward(*model, i, whole_head, limits));
    if (models.front()->visits[i].kind != Visit::Kind::head) {
      for (std::vector<Part>& some : of_models) parts.insert(parts.end(), some.begin(), some.end());
      continue;
    }
    for (std::size_t piece = 0; piece < of_models.front().size(); ++piece)
      for (std::vector<Part>& some : of_models) parts.push_back(some.at(piece));
  }
  return parts;
}

std::string limit_that_works(std::uint64_t peak) {
  constexpr std::uint64_t mib = 1u << 20;
  return fmt::format("{}MiB", align_up(peak, mib) / mib + 1);
}

void require_fit(std::uint64_t peak, std::uint64_t limit, bool asked) {
  if (peak <= limit) return;
  if (!asked)
    fail(Fault::budget, "memory: the run needs {} but {} are available; fewer tokens (--max-tokens) need less",
         human_bytes(peak), human_bytes(limit));
  fail(Fault::budget, "memory: the run needs {} but --max-memory is {}; the smallest limit that works is {}",
       human_bytes(peak), human_bytes(limit), limit_that_works(peak));
}

// Jobs that wait for the writer, as in a run of strata quantize.
constexpr std::size_t most_waiting = 16;

// A forward that is planned, and what it works with.
struct Forward {
  const ForwardOptions& options;
  const Models& models;
  const PassQuestion& question;
  const PlannedSweep& sweep;
  const BoundaryShape shape;
  ForwardWork* work;  // nullptr where nothing is kept
  int next_scratch = 0;

  std::vector<Part> parts() const {
    std::vector<Part> all = cut_models(models, sweep.cut.cut.limits, options.piece_bytes);
    if (work != nullptr)
      std::erase_if(all, [&](const Part& part) { return work->log().resume().done[part.visit_index] != 0; });
    return all;
  }

  Boundary make_states(const Device& device) {
    if (sweep.cut.cut.in_memory) return {shape, device};
    make_directory(work->scratch_folder());
    return {shape, device, join_path(work->scratch_folder(), fmt::format("states.{}", next_scratch++))};
  }

  // As they enter the first visit that is computed.
  std::shared_ptr<Lanes> set_out(const Device& device, Budget& memory) {
    auto lanes = std::make_shared<Lanes>();
    for (std::size_t i = 0; i < options.lanes.size(); ++i) {
      lanes->add(options.lanes[i], make_states(device));
      if (options.lanes[i].still) lanes->states(i).restore(*options.still, memory, options.stop);
      if (work == nullptr || options.lanes[i].still) continue;
      if (const auto kept = work->log().entering(facts::boundary, i, sweep.cut.cut.threads))
        lanes->states(i).restore(*kept, memory, options.stop);
    }
    return lanes;
  }

  void go(std::uint64_t limit, Reporter& reporter) {
    const Cut& cut = sweep.cut.cut;
    const MemoryPlan& planned = sweep.cut.memory;
    Budget memory("memory", std::max(limit, planned.peak()));
    const Lease base = memory.take(planned.base, "the program itself");
    const Lease reserved = memory.take(planned.sheet.reserved(), "libraries");
    const TensorMemoryLimit tensors(memory);
    const Device device(memory);
    FactBoard board;
    board.put(facts::boundary, set_out(device, memory));
    std::map<const FactInfo*, EncodedBlocks> encoded;
    if (work != nullptr) encoded.try_emplace(&facts::boundary, shape, cut.threads, options.lanes.size(), memory);
    const std::unique_ptr<Reader> source = make_reader(
        options.io == IoMethod::automatic ? choose_io(models.front()->checkpoint.files()).method : options.io);
    WriteBehind writer(most_waiting);
    StageTimes times;
    const Tools tools{.question = question,
                      .memory = memory,
                      .device = device,
                      .threads = cut.threads,
                      .writer = writer,
                      .times = times,
                      .tokens = &options.tokens,
                      .more_states = [&](const BoundaryShape&) { return make_states(device); },
                      .stop = options.stop};
    const std::vector<Part> left = parts();
    const SweepOptions how{.plan = sweep.passes,
                           .cut = cut,
                           .parts = left,
                           .visits = models.front()->visits.size(),
                           .reader = *source,
                           .log = work == nullptr ? nullptr : &work->log(),
                           .encoded = &encoded};
    if (work != nullptr) work->log().begin();
    tbb::task_arena arena(cut.threads);
    arena.execute([&] { strata::sweep(how, tools, board, reporter); });
  }
};

// What was stopped goes on from what is in the work directory; where nothing is, it goes.
[[noreturn]] void fail_stopped(const Error& error, ForwardWork* work, const ForwardOptions& options) {
  if (work == nullptr) fail(Fault::interrupted, "{}; with -w FOLDER the same command would go on there", error.what());
  if (work->holds_layers())
    fail(Fault::resumable, "{}; what is done is in {}: the same command goes on", error.what(), options.work_directory);
  work->finish();
  fail(Fault::interrupted, "{} before a layer was done; the same command starts over", error.what());
}

}  // namespace

void run_forward(const ForwardOptions& options, LogitsReader& reader, Reporter& reporter) {
  const Models models = models_of(options.lanes);
  require_alike(models);
  const bool keeps = !options.work_directory.empty();
  if (keeps) require_forward_folder(options);
  // Before the program is measured: what travels beside the lanes stays as long as they do.
  std::optional<OpenModel> model;
  if (keeps) model.emplace(open_model(models.front()->checkpoint.directory()));
  const QuantizeRequest request;
  const PassQuestion question{.model = *models.front(), .request = request, .learns = true, .reader = &reader};
  const std::vector<const PassType*> passes = {&pass_type("decode"), &pass_type("propagate"), &read_logits};
  const std::vector<SweepPlan> sweeps = plan_sweeps(passes, {});
  const BoundaryShape shape = boundary_shape(options.tokens.rows, options.tokens.columns, models.front()->spec->hidden);
  const std::uint64_t limit = options.max_memory > 0 ? options.max_memory : usable_memory_bytes();
  const std::vector<MovingStates> moving = {{&facts::boundary, shape, options.lanes.size()}};
  const CutPlan cut =
      plan_memory({.pass = question,
                   .sweep = sweeps.front(),
                   .moving = moving,
                   .cut = [&](const PartLimits& limits) { return cut_models(models, limits, options.piece_bytes); },
                   .scratch = keeps,
                   .threads = options.threads,
                   .base = resident_bytes()},
                  limit);
  require_fit(cut.memory.peak(), limit, options.max_memory > 0);
  const PlannedSweep sweep = {.passes = sweeps.front(), .cut = cut, .moving = moving};
  std::optional<ForwardWork> work;
  if (keeps) work.emplace(options, std::move(*model), sweep).report(reporter);
  Forward forward{options, models, question, sweep, shape, work ? &*work : nullptr};
  try {
    forward.go(limit, reporter);
  } catch (const Error& error) {
    if (error.fault != Fault::interrupted && error.fault != Fault::resumable) throw;
    fail_stopped(error, forward.work, options);
  }
  reader.done();
  if (work) work->finish();
}

}  // namespace strata
