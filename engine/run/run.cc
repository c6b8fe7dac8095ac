// The story of `strata quantize`, top to bottom.
#include <limits>
#include <optional>
#include <vector>

#include "engine/output/output_folder.h"
#include "engine/run/calibration.h"
#include "engine/run/prepare.h"
#include "engine/run/run_report.h"
#include "engine/sweep/stream.h"
#include "engine/work/published.h"
#include "engine/work/sweep_log.h"
#include "engine/work/work_folder.h"
#include "engine/work/work_place.h"
#include "formats/text/text_notices.h"

namespace strata {
namespace {

std::optional<TokenRows> tokens_for(const RunPlan& plan, const QuantizeRequest& request) {
  return plan.learns ? std::optional(calibration_tokens(request.calibration, plan.model)) : std::nullopt;
}

// Whether a run of the same question was killed after its output had appeared: then nothing is left to do but to tidy
// up, which this does. The question is asked in full, so that what would be refused today is refused.
bool finished_before(const QuantizeRequest& request, const ComputeSession& session) {
  const std::optional<PublishedRun> published = published_before(request.places, request.resume.mode);
  if (!published) return false;
  const RunPlan plan = prepare(request, session);
  const std::optional<TokenRows> tokens = tokens_for(plan, request);
  if (RunKeys(plan, request, tokens ? &*tokens : nullptr).run.hash() != published->run.hash()) return false;
  tidy_up_after(*published, request.places);
  return true;
}

// The sweeps from `first` on that can be named: those before one that wants an assignment which is not decided yet.
std::size_t end_of_known(const RunPlan& plan, std::size_t first) {
  std::size_t end = first;
  while (end < plan.sweeps.size() && (plan.assignment || !plan.sweeps[end].passes.wants(facts::assignment))) ++end;
  return end;
}

// What a run holds while it goes through its sweeps.
struct Run {
  RunPlan& plan;
  const QuantizeRequest& request;
  RunKeys& keys;
  RunLog& log;
  Budget& memory;
  Stream& stream;
  Reporter& reporter;
  std::optional<ShardSink> sink = {};

  // Between two sweeps: every byte of the output gets its place, as soon as the assignment is known.
  void open_output(const ResumePoint& resume) {
    const bool go_on = std::ranges::find(resume.done, 1) != resume.done.end();
    sink.emplace(*plan.output, request.places.output, memory,
                 SinkOptions{.go_on = go_on, .run_id = log.run_id(), .mode = plan.write_mode});
    plan.output->forget_texts();
    for (std::size_t i = 0; i < plan.output->visits.size(); ++i)
      if (resume.done[i] != 0) sink->was_written(plan.output->visits[i]);
  }

  // A sweep has decided: what was open until now is planned.
  void take_assignment(std::size_t next) {
    plan.assignment = *static_cast<const Assignment*>(stream.board().find(facts::assignment).get());
    lay_out(plan, request);
    ShardSink::require_place(*plan.output, request.places.output);
    write_assignment(plan, request.places);
    for (const auto& [subject, text] : plan.assignment->decisions) reporter.decision(subject, text);
    keys.add_sweeps(plan, request, next, plan.sweeps.size());
  }

  void go(std::size_t index, SweepLog& sweep) {
    const SweepPlan& passes = plan.sweeps[index].passes;
    if (passes.writes(facts::output)) open_output(sweep.resume());
    sweep.begin();
    stream.run(index, sweep, {.plan = plan.output ? &*plan.output : nullptr, .sink = sink ? &*sink : nullptr});
    if (!passes.writes(facts::assignment)) return;
    if (stream.board().find(facts::assignment) == nullptr)  // by an earlier run
      stream.board().put(facts::assignment, sweep.decided(facts::assignment));
    take_assignment(index + 1);
  }

  void publish() {
    const PlacesRequest& places = request.places;
    if (request.stop != nullptr && *request.stop != 0)
      fail(Fault::resumable, "stopped before {} appeared", places.output);
    require_output_free(places.output, places.model, places.force);  // hours may have passed since the first look
    log.note_publishing(sink->identity(), places.output);
    sink->publish(plan.model.checkpoint, places.force);
  }
};

}  // namespace

void quantize(const QuantizeRequest& request, Reporter& reporter) {
  const Timer timer;
  const PlacesRequest& places = request.places;
  const ComputeSession session(request.machine.device, request.machine.threads);
  require_work_directory(places.work_directory, places.output, places.model);
  require_trace_place(places.trace, std::vector<std::string>{places.model, places.output, partial_folder(places.output),
                                                             places.work_directory, request.calibration.dataset,
                                                             request.assignment.file});
  if (finished_before(request, session)) return report_finished(places, timer, reporter);
  require_output_free(places.output, places.model, places.force);

  RunPlan plan = prepare(request, session);
  const PlanSummary summary = summarize(plan, places);
  require_quantized(summary, request);
  require_fit(summary, request);
  // From here on the run fits, and where the assignment is known every byte of the output has its place.

  const FileLock lock = lock_work_directory(places.work_directory);
  const std::optional<TokenRows> tokens = tokens_for(plan, request);
  RunKeys keys(plan, request, tokens ? &*tokens : nullptr);
  keys.add_sweeps(plan, request, 0, end_of_known(plan, 0));
  if (plan.output) ShardSink::require_place(*plan.output, places.output);
  Budget disk("--disk", request.machine.disk > 0 ? request.machine.disk : std::numeric_limits<std::uint64_t>::max());
  RunLog log(keys, {.places = places,
                    .resume = request.resume.mode,
                    .disk = disk,
                    .scarce_disk = request.machine.disk > 0});
  SweepLog* sweep = &log.open_sweep(plan, 0);
  // Not before: a run that is refused leaves the records of the last one.
  write_places(places);
  if (plan.assignment) write_assignment(plan, places);
  report_start(plan, places, reporter);
  if (plan.learns)
    for (const auto& [subject, text] : text_notices(places.model, request.calibration.dataset))
      reporter.decision(subject, text);
  report_resume(log, *sweep, places, request.resume.explain, reporter);
  // What an earlier run left and what still holds of it is decided.

  Budget memory("memory", plan.memory_limit);
  const Lease base = memory.take(plan.sweeps.front().cut.memory.base, "the program itself");
  StageTimes times;
  Stream stream(plan, request, {.tokens = tokens ? &*tokens : nullptr, .timer = timer},
                {.memory = memory, .times = times, .reporter = reporter});
  Run run{.plan = plan, .request = request, .keys = keys, .log = log, .memory = memory, .stream = stream,
          .reporter = reporter};
  try {
    for (std::size_t i = 0; i < plan.sweeps.size(); ++i) {
      if (i > 0) sweep = &log.open_sweep(plan, i);
      run.go(i, *sweep);
    }
    stream.finish();
    // Every tensor is in its place in the partial folder; now it becomes the output, at once.
    run.publish();
  } catch (const std::exception&) {
    if (log.layers_kept() == 0) {  // nothing worth keeping: the folder goes, and the next run starts over
      if (run.sink) run.sink->discard();
      log.finish();
    }
    throw;
  }
  log.finish();
  report_end(plan, places, {.tokens = tokens ? &*tokens : nullptr, .timer = timer}, times, reporter);
}

}  // namespace strata
