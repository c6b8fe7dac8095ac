#include "engine/run/carry_out.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/graph/facts.h"
#include "engine/output/output_folder.h"
#include "engine/passes/frontier_facts.h"
#include "engine/passes/held_out.h"
#include "engine/run/gate.h"
#include "engine/run/mixed_records.h"
#include "engine/run/prepare.h"
#include "engine/run/run_report.h"
#include "engine/sweep/stream.h"
#include "engine/work/earlier_run.h"
#include "engine/work/sweep_log.h"
#include "engine/work/work_folder.h"
#include "engine/work/work_place.h"
#include "formats/text/text_notices.h"

namespace strata {
namespace {

// The sweeps from `first` on that can be named: those before one that wants an assignment which is not decided yet.
std::size_t end_of_known(const RunPlan& plan, std::size_t first) {
  std::size_t end = first;
  while (end < plan.sweeps.size() && (plan.assignment || !plan.sweeps[end].passes.wants(facts::assignment))) ++end;
  return end;
}

// For as long as it lives no other process that shares the output makes or publishes its folder.
FileLock hold_setup(const QuantizeRequest& request) {
  const std::string path = setup_file(request.places.output);
  if (is_link(path) || (exists(path) && !is_setup_file(path)))
    fail(Fault::usage, "{}: is not ours, but processes that share an output lock a file of that name; rename it", path);
  try {
    return FileLock::wait_for(path, request.stop);
  } catch (const Error& error) {
    if (error.fault != Fault::interrupted) throw;
    fail(Fault::resumable, "{}", error.what());
  }
}

// What processes that share the output have written goes only when that is said.
void require_no_share(const QuantizeRequest& request) {
  const std::string partial = partial_folder(request.places.output), id = join_path(partial, run_id_file);
  if (request.resume.mode == Resume::never || !is_regular_file(id) || !is_shared_run_id(read_text(id))) return;
  fail(Fault::mismatch,
       "{}: holds layers of a --share that is not done; finish that, `strata clean` its work directories, or throw "
       "them away with --resume never",
       partial);
}

// What a run holds while it goes through its sweeps.
struct Run {
  RunPlan& plan;
  const QuantizeRequest& request;
  RunKeys& keys;
  RunLog& log;
  Budget& memory;
  std::optional<Stream>& stream;
  Reporter& reporter;
  std::optional<ShardSink> sink = {};

  // Between two sweeps: every byte of the output gets its place, as soon as the assignment is known.
  void open_output(SweepLog& sweep) {
    const ResumePoint& resume = sweep.resume();
    const bool go_on = std::ranges::find(resume.done, 1) != resume.done.end();
    const std::string& output = request.places.output;
    const bool shared = !request.share.whole();
    std::optional<FileLock> setup;
    if (shared) {
      setup.emplace(hold_setup(request));
      require_output_free(output, request.places.model, false);  // another one may have published it meanwhile
    }
    // Direct writes read what lies beside them in a block of the disk, where another process may be writing.
    const WriteMode mode = shared ? WriteMode::buffered : plan.write_mode;
    sink.emplace(*plan.output, output, memory,
                 SinkOptions{.go_on = go_on, .run_id = log.run_id(), .mode = mode, .shared = shared});
    plan.output->forget_texts();
    if (shared && !sink->joined()) sweep.forget_own("its bytes are gone");
    for (std::size_t i = 0; i < plan.output->visits.size(); ++i)
      if (resume.done[i] != 0) sink->was_written(plan.output->visits[i]);
  }

  // A sweep has decided: what was open until now is planned.
  void take_assignment(std::size_t next) {
    plan.assignment = *static_cast<const Assignment*>(stream->board().find(facts::assignment).get());
    lay_out(plan, request);
    ShardSink::require_place(*plan.output, request.places.output);
    write_assignment(plan, request);
    for (const auto& [subject, text] : plan.assignment->decisions) reporter.decision(subject, text);
    keys.add_sweeps(plan, request, next, plan.sweeps.size());
  }

  // Budgets that lead to one choice have one lane.
  void take_frontier(std::size_t next) {
    plan.frontier_lanes = static_cast<const Frontier*>(stream->board().find(facts::frontier).get())->lanes.size();
    for (std::size_t i = next; i < plan.sweeps.size(); ++i)
      for (MovingStates& states : plan.sweeps[i].moving)
        if (const PassType* const pass = plan.sweeps[i].passes.advancer(*states.fact); pass->lanes != nullptr)
          states.lanes = static_cast<std::size_t>(pass->lanes(plan.question(request)));
  }

  SweepLog& open_later(std::size_t index) {
    SweepLog& sweep = log.open_sweep(plan, index);
    report_taken_over(sweep, request.resume.explain, reporter);
    return sweep;
  }

  void go(std::size_t index, SweepLog& sweep) {
    const SweepPlan& passes = plan.sweeps[index].passes;
    if (passes.writes(facts::output)) open_output(sweep);
    const bool decides = !sweep.complete();
    sweep.begin();
    stream->run(index, sweep, {.plan = plan.output ? &*plan.output : nullptr, .sink = sink ? &*sink : nullptr});
    for (const FactInfo* fact : passes.keeps)
      if (fact->whole_model && stream->board().find(*fact) == nullptr)  // by an earlier run
        stream->board().put(*fact, sweep.decided(*fact));
    if (passes.writes(facts::frontier)) take_frontier(index + 1);
    if (passes.writes(facts::assignment)) take_assignment(index + 1);
    // What an earlier run measured was of another choice.
    if (passes.writes(facts::assignment) && decides)
      remove_tree(join_path(request.places.work_directory, work_names::measured));
  }

  // All sweeps; the log of the last one.
  SweepLog& go_through(SweepLog& first) {
    SweepLog* sweep = &first;
    for (std::size_t i = 0; i < plan.sweeps.size(); ++i) {
      if (i > 0) sweep = &open_later(i);
      go(i, *sweep);
    }
    stream->finish();
    stream.reset();  // what it holds is wanted no more
    return *sweep;
  }

  // False where other processes that share the output are not done: the last one publishes it.
  bool publish_shared() {
    const std::string setup_path = setup_file(request.places.output);
    const FileLock setup = hold_setup(request);
    if (sink->published()) {
      remove_tree(setup_path);
      return true;
    }
    if (const std::optional<std::string> missing = log.missing(*plan.output)) {
      reporter.decision(request.places.output,
                        fmt::format("appears when the others are done: {} is missing yet", *missing));
      return false;
    }
    sink->complete(plan.model.checkpoint);
    add_records(plan, request, partial_folder(request.places.output), reporter);
    publish();
    remove_tree(setup_path);
    return true;
  }

  // What stands in the partial folder is complete, and where the run measures, what was measured.
  void require_gate(const SweepLog& last, const RunTokens& tokens) {
    if (!tokens.held_out) return;
    const std::optional<BoundaryReader> teacher = last.end_states(facts::held_out, plan.sweeps.back().cut.cut.threads);
    if (!teacher)
      fail(Fault::io, "{}: what entered the source's head is gone; the same command measures again",
           request.places.work_directory);
    require_as_measured(plan, request, *tokens.held_out, *teacher, reporter);
  }

  void publish(const SweepLog& last, const RunTokens& tokens) {
    sink->complete(plan.model.checkpoint);
    require_gate(last, tokens);
    add_records(plan, request, partial_folder(request.places.output), reporter);
    publish();
  }

  void publish() {
    const PlacesRequest& places = request.places;
    if (request.stop != nullptr && *request.stop != 0)
      fail(Fault::resumable, "stopped before {} appeared", places.output);
    require_output_free(places.output, places.model, places.force);  // hours may have passed since the first look
    log.note_publishing(sink->identity(), places.output);
    sink->publish(places.force);
    const std::string setup = setup_file(places.output);  // of a share that was given up
    if (request.share.whole() && is_setup_file(setup) && !is_locked(setup)) remove_tree(setup);
  }
};

}  // namespace

void carry_out(RunPlan plan, const QuantizeRequest& request, const Timer& timer, Reporter& reporter) {
  const PlacesRequest& places = request.places;
  const bool shared = !request.share.whole();
  if (shared && places.force) fail(Fault::usage, "--share: does not go with --force; remove {} first", places.output);
  if (shared && (plan.learns || plan.sweeps.size() > 1))
    fail(Fault::usage, "--share: a run that learns from --dataset goes through every layer; leave one of them out");
  const FileLock lock = lock_work_directory(places.work_directory);
  const RunTokens tokens = tokens_of(plan, request);
  RunKeys keys = keys_of(plan, request, tokens);
  keys.add_sweeps(plan, request, 0, end_of_known(plan, 0));
  if (plan.output) ShardSink::require_place(*plan.output, places.output, shared);
  Budget disk("--disk", request.machine.disk > 0 ? request.machine.disk : std::numeric_limits<std::uint64_t>::max());
  RunLog log(keys, {.places = places,
                    .resume = request.resume.mode,
                    .disk = disk,
                    .scarce_disk = request.machine.disk > 0,
                    .share = request.share});
  SweepLog& first = log.open_sweep(plan, 0);
  shared ? log.require_one_run() : require_no_share(request);
  // Not before: a run that is refused leaves the records of the last one.
  write_places(places);
  if (plan.assignment) write_assignment(plan, request);
  report_start(plan, places, reporter);
  if (plan.learns)
    for (const auto& [subject, text] : text_notices(places.model, request.calibration.dataset))
      reporter.decision(subject, text);
  report_resume(log, first, places, request.resume.explain, reporter);
  // What an earlier run left and what still holds of it is decided.

  Budget memory("memory", plan.memory_limit);
  const Lease base = memory.take(plan.sweeps.front().cut.memory.base, "the program itself");
  StageTimes times;
  const StreamInput input{.tokens = tokens.learnt_from(),
                          .held_out = tokens.measured_on(),
                          .selection = tokens.chosen_by(),
                          .timer = timer};
  std::optional<Stream> stream(std::in_place, plan, request, input,
                               StreamTools{.memory = memory, .times = times, .reporter = reporter});
  Run run{.plan = plan,
          .request = request,
          .keys = keys,
          .log = log,
          .memory = memory,
          .stream = stream,
          .reporter = reporter};
  try {
    const SweepLog& last = run.go_through(first);
    // Every tensor is in its place in the partial folder; now it becomes the output, at once.
    if (shared && !run.publish_shared()) return report_waiting(places, timer, reporter);
    if (!shared) run.publish(last, tokens);
  } catch (const std::exception&) {
    if (!shared && log.layers_kept() == 0) {  // nothing worth keeping: the folder goes, and the next run starts over
      if (run.sink) run.sink->discard();
      log.finish();
    }
    throw;
  }
  log.finish();
  report_end(plan, request, input, times, reporter);
}

}  // namespace strata
