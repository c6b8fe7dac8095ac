// The story of `strata quantize`, top to bottom.
#include <limits>
#include <optional>
#include <vector>

#include "engine/output/output_folder.h"
#include "engine/plan/assignment_file.h"
#include "engine/run/calibration.h"
#include "engine/run/prepare.h"
#include "engine/run/run_report.h"
#include "engine/sweep/stream.h"
#include "engine/work/run_log.h"
#include "engine/work/work_folder.h"
#include "engine/work/work_place.h"
#include "formats/text/text_notices.h"

namespace strata {
namespace {

std::optional<TokenRows> tokens_for(const Prepared& prepared, const QuantizeRequest& request) {
  return prepared.calibrate ? std::optional(calibration_tokens(request.calibration, prepared.model)) : std::nullopt;
}

// Whether a run of the same question was killed after its output had appeared: then nothing is left to do but to tidy
// up, which this does. The question is asked in full, so that what would be refused today is refused.
bool finished_before(const QuantizeRequest& request, const ComputeSession& session) {
  const std::optional<PublishedRun> published = published_before(request.places, request.resume.mode);
  if (!published) return false;
  const Prepared prepared = prepare(request, session);
  const std::optional<TokenRows> tokens = tokens_for(prepared, request);
  if (run_keys(prepared, request, tokens ? &*tokens : nullptr).run.hash() != published->run.hash()) return false;
  tidy_up_after(*published, request.places);
  return true;
}

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

  Prepared prepared = prepare(request, session);
  const PlanSummary plan = summarize(prepared, places);
  require_quantized(plan, request);
  require_fit(plan, request);
  // From here on the run fits, and every byte of the output has its place.

  const FileLock lock = lock_work_directory(places.work_directory);
  const std::optional<TokenRows> tokens = tokens_for(prepared, request);
  const RunKeys keys = run_keys(prepared, request, tokens ? &*tokens : nullptr);
  ShardSink::require_place(prepared.output, places.output);
  Budget disk("--disk", request.machine.disk > 0 ? request.machine.disk : std::numeric_limits<std::uint64_t>::max());
  RunLog log(prepared, keys,
             {.places = places, .resume = request.resume.mode, .disk = disk, .scarce_disk = request.machine.disk > 0});
  // Not before: a run that is refused leaves the records of the last one.
  write_places(places);
  write_text(join_path(places.work_directory, work_names::assignment),
             assignment_json(prepared.model, prepared.assignment));
  report_start(prepared, places, reporter);
  if (prepared.calibrate)
    for (const auto& [subject, text] : text_notices(places.model, request.calibration.dataset))
      reporter.decision(subject, text);
  report_resume(log, places, request.resume.explain, reporter);
  // What an earlier run left and what still holds of it is decided.

  Budget memory("memory", prepared.memory_limit);
  const Lease base = memory.take(prepared.memory.base, "the program itself");
  ShardSink sink(prepared.output, places.output, memory,
                 {.go_on = log.resume().go_on, .run_id = log.run_id(), .mode = prepared.write_mode});
  prepared.output.forget_texts();
  StageTimes times;
  try {
    log.begin();
    stream(prepared, request, {.tokens = tokens ? &*tokens : nullptr, .timer = timer},
           {.log = log, .memory = memory, .sink = sink, .times = times, .reporter = reporter});
    // Every tensor is in its place in the partial folder; now it becomes the output, at once.
    if (request.stop != nullptr && *request.stop != 0)
      fail(Fault::resumable, "stopped before {} appeared", places.output);
    require_output_free(places.output, places.model, places.force);  // hours may have passed since the first look
    log.note_publishing(sink.identity(), places.output);
    sink.publish(prepared.model.checkpoint, places.force);
  } catch (const std::exception&) {
    if (log.layers_kept() == 0) {  // nothing worth keeping: the folder goes, and the next run starts over
      sink.discard();
      log.finish();
    }
    throw;
  }
  log.finish();
  report_end(prepared, places, {.tokens = tokens ? &*tokens : nullptr, .timer = timer}, times, reporter);
}

}  // namespace strata
