#include "engine/sweep/stream.h"

#include <tbb/task_arena.h>

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "engine/device/tensor_memory.h"
#include "engine/graph/run_passes.h"
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

// Hidden states of the run's shape, where the plan has room for them.
Boundary make_states(const Prepared& prepared, const QuantizeRequest& request, Budget& memory, std::string_view name) {
  if (prepared.cut.in_memory) return Boundary(*prepared.boundary, memory);
  make_directory(scratch_folder(request));
  return Boundary(*prepared.boundary, memory, join_path(scratch_folder(request), name));
}

// What an earlier run kept becomes what enters the first visit.
void restore(std::optional<BoundaryReader> kept, Boundary& boundary, Budget& memory, const StopFlag* stop) {
  if (!kept) return;
  LeasedBuffer values(memory, "hidden states", block_float_bytes(kept->shape()));
  std::string why;
  for (std::int64_t block = 0; block < kept->shape().blocks(); ++block) {
    check_interrupt(stop);
    const std::span<float> out = values.floats().first(kept->shape().values_in(block));
    if (!kept->read(block, out, why))
      fail(Fault::io, "hidden states of an earlier run: {}; the same command computes them again", why);
    boundary.store(block, out);
  }
  kept.reset();
  give_back_freed_memory();
}

// The parts of the visits that are computed.
std::vector<Part> parts_to_compute(const Prepared& prepared, std::span<const Visit> all, const ResumePoint& resume) {
  std::vector<Part> parts = cut_run(prepared.model, prepared.assignment, all, prepared.cut.limits);
  std::erase_if(parts, [&](const Part& part) { return resume.done[part.visit_index] != 0; });
  return parts;
}

// `auto` measures where the source is large enough for it to matter. nullptr when the input brings a reader.
std::unique_ptr<Reader> own_reader(const Prepared& prepared, const QuantizeRequest& request, const StreamInput& input) {
  if (input.reader != nullptr) return nullptr;
  const bool choose = request.machine.io == IoMethod::automatic;
  return make_reader(choose ? choose_io(prepared.model.checkpoint.files()).method : request.machine.io);
}

void take_over(const OutputPlan& output, const ResumePoint& resume, ShardSink& sink) {
  for (std::size_t i = 0; i < output.visits.size(); ++i)
    if (resume.done[i] != 0) sink.was_written(output.visits[i]);
}

// Below a fiftieth of the machine's memory, but at most a GiB, others suffer.
std::uint64_t least_available() { return std::min<std::uint64_t>(total_memory_bytes() / 50, 1u << 30); }

// What a run holds from its first layer to its last.
struct Workspace {
  Workspace(const Prepared& prepared, const QuantizeRequest& request, RunLog& log, Budget& memory)
      : tensors(memory),
        libraries(memory.take(prepared.memory.libraries + prepared.memory.moments, "libraries, sums of squares")) {
    if (prepared.boundary) {
      boundary.emplace(make_states(prepared, request, memory, work_names::scratch_boundary));
      encoded.emplace(*prepared.boundary, prepared.cut.threads, memory);
      restore(log.take_entering(), *boundary, memory, request.stop);
    }
    for (int i = 0; i < prepared.cut.renders; ++i)
      renders.add(std::make_unique<LeasedBuffer>(memory, "encoded Linears"));
    if (!request.places.trace.empty()) trace.emplace(request.places.trace);
  }

  TensorMemoryLimit tensors;
  Lease libraries;
  std::optional<Boundary> boundary;
  std::optional<EncodedBlocks> encoded;
  Lending<LeasedBuffer> renders;
  std::optional<Trace> trace;
};

}  // namespace

void stream(const Prepared& prepared, const QuantizeRequest& request, const StreamInput& input,
            const StreamTools& tools) {
  const std::vector<Visit>& all = prepared.model.visits;
  const ResumePoint& resume = tools.log.resume();
  take_over(prepared.output, resume, tools.sink);
  const std::vector<Part> parts = parts_to_compute(prepared, all, resume);
  remove_scratch(request.places.work_directory);  // of a run that was killed
  if (parts.empty()) return;

  give_back_freed_memory();  // what the plan, the keys and the records of the run took
  Workspace work(prepared, request, tools.log, tools.memory);
  Trace* const trace = work.trace ? &*work.trace : nullptr;
  const std::unique_ptr<Reader> reader = own_reader(prepared, request, input);
  const std::vector<const PassType*> passes = input.passes.empty() ? passes_for(prepared.calibrate) : input.passes;

  WriteBehind writer(most_waiting);
  RunContext run{
      .model = prepared.model,
      .assignment = prepared.assignment,
      .output = prepared.output,
      .method = require_rounding_method(request.rounding.method_name()),
      .memory = tools.memory,
      .threads = prepared.cut.threads,
      .sink = tools.sink,
      .writer = writer,
      .render_memory = work.renders,
      .tokens = input.tokens,
      .boundary = work.boundary ? &*work.boundary : nullptr,
      .boundary_type = request.calibration.boundary,
      .more_states = [&](std::string_view name) { return make_states(prepared, request, tools.memory, name); },
      .times = tools.times,
      .stop = request.stop,
      .trace = trace};
  const SweepOptions how{.visits = all,
                         .parts = parts,
                         .reader = reader ? *reader : *input.reader,
                         .slots = prepared.cut.slots,
                         .log = tools.log,
                         .encoded = work.encoded ? &*work.encoded : nullptr,
                         .deadline = request.resume.deadline,
                         .since = input.timer,
                         .least_available = least_available()};
  tbb::task_arena arena(prepared.cut.threads);
  arena.execute([&] {
    for (const SweepPlan& plan : plan_sweeps(passes, facts::assignment)) sweep(run, plan, how, tools.reporter);
  });
  tools.times.add(Stage::write, writer.seconds_busy());
  if (trace != nullptr && !trace->failure().empty())
    tools.reporter.decision(request.places.trace, "the trace is not complete: " + trace->failure());
  work.boundary.reset();
  remove_scratch(request.places.work_directory);
}

}  // namespace strata
