#include "engine/sweep/stream.h"

#include <tbb/task_arena.h>

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "engine/sweep/boundary_keeper.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/sweep.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

// Jobs that wait for the writer: a part of each layer under way, and its hidden states.
constexpr std::size_t most_waiting = 16;

std::string scratch_folder(const QuantizeRequest& request) {
  return join_path(request.places.work_directory, work_names::scratch);
}

// Below a fiftieth of the machine's memory, but at most a GiB, others suffer.
std::uint64_t least_available() { return std::min<std::uint64_t>(total_memory_bytes() / 50, 1u << 30); }

// A place on a board for what somebody else owns.
template <class T>
std::shared_ptr<void> borrowed(const T& value) {
  return {const_cast<T*>(&value), [](void*) {}};
}

std::uint64_t most_reserved(const RunPlan& plan) {
  std::uint64_t most = 0;
  for (const PlannedSweep& sweep : plan.sweeps) most = std::max(most, sweep.cut.memory.sheet.reserved());
  return most;
}

}  // namespace

Stream::Stream(const RunPlan& plan, const QuantizeRequest& request, const StreamInput& input, const StreamTools& tools)
    : plan_(plan),
      request_(request),
      input_(input),
      tools_(tools),
      device_(tools.memory),
      reserved_((give_back_freed_memory(),  // what the plan, the keys and the records of the run took
                 tools.memory.take(most_reserved(plan), "libraries, sums of squares"))),
      tensors_(tools.memory),
      writer_(most_waiting) {
  if (!request.places.trace.empty()) trace_.emplace(request.places.trace);
}

Stream::~Stream() = default;

Boundary Stream::make_states(const BoundaryShape& shape) {
  if (states_in_memory_) return {shape, device_};
  make_directory(scratch_folder(request_));
  return {shape, tools_.memory, join_path(scratch_folder(request_), fmt::format("states.{}", next_scratch_++))};
}

// `auto` measures where the source is large enough for it to matter.
Reader& Stream::reader() {
  if (input_.reader != nullptr) return *input_.reader;
  if (own_reader_ == nullptr) {
    const bool choose = request_.machine.io == IoMethod::automatic;
    own_reader_ = make_reader(choose ? choose_io(plan_.model.checkpoint.files()).method : request_.machine.io);
  }
  return *own_reader_;
}

std::vector<Part> Stream::parts_to_compute(const PlannedSweep& sweep, const SweepLog& log) const {
  std::vector<Part> parts = cut_run(plan_.question(request_), sweep.passes, sweep.cut.cut.limits);
  std::erase_if(parts, [&](const Part& part) { return log.resume().done[part.visit_index] != 0; });
  return parts;
}

// Hidden states that the sweep moves, or finds.
void Stream::set_out_lanes(const PlannedSweep& sweep, const SweepLog& log) {
  const auto set_out = [&](const MovingStates& states, bool moves) {
    const auto lanes = std::make_shared<Lanes>();
    for (std::size_t lane = 0; lane < states.lanes; ++lane) {
      const bool there = log.complete() || states.enters(lane, log.first_visit());
      lanes->add({.model = &plan_.model, .still = lane > 0 && !there}, make_states(states.shape));
      if (!moves) continue;
      // What an earlier run kept becomes what enters the first visit.
      if (const std::optional<BoundaryReader> kept = log.entering(*states.fact, lane, sweep.cut.cut.threads))
        lanes->states(lane).restore(*kept, tools_.memory, request_.stop);
    }
    board_.put(*states.fact, lanes);
  };
  for (const MovingStates& states : sweep.moving) set_out(states, true);
  for (const MovingStates& states : sweep.found) set_out(states, false);
  give_back_freed_memory();
}

void Stream::run(std::size_t index, SweepLog& log, const OutputTools& output) {
  const PlannedSweep& planned = plan_.sweeps.at(index);
  const Cut& cut = planned.cut.cut;
  remove_scratch(request_.places.work_directory);  // of a run that was killed
  const std::vector<Part> parts = parts_to_compute(planned, log);
  if (log.complete()) return;
  if (plan_.assignment) board_.put(facts::assignment, borrowed(*plan_.assignment));
  states_in_memory_ = cut.in_memory;
  next_scratch_ = 0;
  set_out_lanes(planned, log);
  std::map<const FactInfo*, EncodedBlocks> encoded;
  for (const MovingStates& states : planned.moving)
    encoded.try_emplace(states.fact, states.shape, cut.threads, states.abreast(), tools_.memory);

  const PassQuestion question = plan_.question(request_);
  const Tools tools{
      .question = question,
      .memory = tools_.memory,
      .device = device_,
      .threads = cut.threads,
      .writer = writer_,
      .times = tools_.times,
      .tokens = input_.tokens,
      .held_out = input_.held_out,
      .selection = input_.selection,
      .collects = plan_.collects,
      .more_states = [this](const BoundaryShape& shape) { return make_states(shape); },
      .key_of = [&log](const FactInfo& fact, std::size_t visit) { return log.fact_key(fact, visit).hash(); },
      .keeps = planned.passes.keeps,
      .stop = request_.stop,
      .trace = trace_ ? &*trace_ : nullptr};
  const SweepOptions how{.plan = planned.passes,
                         .cut = cut,
                         .parts = parts,
                         .visits = plan_.model.visits.size(),
                         .reader = reader(),
                         .output = output,
                         .log = &log,
                         .encoded = &encoded,
                         .deadline = request_.resume.deadline,
                         .since = input_.timer,
                         .least_available = least_available()};
  tbb::task_arena arena(cut.threads);
  arena.execute([&] { sweep(how, tools, board_, tools_.reporter); });
  for (const std::vector<MovingStates>* all : {&planned.moving, &planned.found})
    for (const MovingStates& states : *all) board_.take_down(*states.fact);
  remove_scratch(request_.places.work_directory);
}

void Stream::finish() {
  tools_.times.add(Stage::write, writer_.seconds_busy());
  if (trace_ && !trace_->failure().empty())
    tools_.reporter.decision(request_.places.trace, "the trace is not complete: " + trace_->failure());
}

}  // namespace strata
