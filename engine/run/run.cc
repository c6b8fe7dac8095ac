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

std::optional<TokenRows> tokens_for(const Prepared& prepared, const QuantizeOptions& options) {
  return prepared.calibrate ? std::optional(calibration_tokens(options, prepared.model)) : std::nullopt;
}

// Whether a run of the same question was killed after its output had appeared: then nothing is left to do but to tidy
// up, which this does. The question is asked in full, so that what would be refused today is refused.
bool finished_before(const QuantizeOptions& options, const ComputeSession& session) {
  const std::optional<PublishedRun> published = published_before(options);
  if (!published) return false;
  const Prepared prepared = prepare(options, session);
  const std::optional<TokenRows> tokens = tokens_for(prepared, options);
  if (run_keys(prepared, options, tokens ? &*tokens : nullptr).run.hash() != published->run.hash()) return false;
  tidy_up_after(*published, options);
  return true;
}

}  // namespace

void quantize(const QuantizeOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  require_work_directory(options.work_directory, options.output, options.model);
  require_trace_place(options.trace,
                      std::vector<std::string>{options.model, options.output, partial_folder(options.output),
                                               options.work_directory, options.dataset, options.assignment});
  if (finished_before(options, session)) return report_finished(options, timer, reporter);
  require_output_free(options.output, options.model, options.force);

  Prepared prepared = prepare(options, session);
  const PlanSummary plan = summarize(prepared, options);
  require_quantized(plan, options);
  require_fit(plan, options);
  // From here on the run fits, and every byte of the output has its place.

  const FileLock lock = lock_work_directory(options.work_directory);
  const std::optional<TokenRows> tokens = tokens_for(prepared, options);
  const RunKeys keys = run_keys(prepared, options, tokens ? &*tokens : nullptr);
  ShardSink::require_place(prepared.output, options.output);
  Budget disk("--disk", options.disk > 0 ? options.disk : std::numeric_limits<std::uint64_t>::max());
  RunLog log(options, prepared, keys, prepared.boundary, disk);
  // Not before: a run that is refused leaves the records of the last one.
  write_places(options);
  write_text(join_path(options.work_directory, work_names::assignment),
             assignment_json(prepared.model, prepared.assignment));
  report_start(prepared, options, reporter);
  if (prepared.calibrate)
    for (const auto& [subject, text] : text_notices(options.model, options.dataset)) reporter.decision(subject, text);
  report_resume(log, options, reporter);
  // What an earlier run left and what still holds of it is decided.

  Budget memory("memory", prepared.memory_limit);
  const Lease base = memory.take(prepared.memory.base, "the program itself");
  ShardSink sink(prepared.output, options.output, memory,
                 {.go_on = log.resume().go_on, .run_id = log.run_id(), .mode = prepared.write_mode});
  prepared.output.forget_texts();
  StageTimes times;
  try {
    log.begin();
    stream(prepared, options, {.tokens = tokens ? &*tokens : nullptr, .timer = timer},
           {.log = log, .memory = memory, .sink = sink, .times = times, .reporter = reporter});
    // Every tensor is in its place in the partial folder; now it becomes the output, at once.
    if (options.stop != nullptr && *options.stop != 0)
      fail(Fault::resumable, "stopped before {} appeared", options.output);
    require_output_free(options.output, options.model, options.force);  // hours may have passed since the first look
    log.note_publishing(sink.identity(), options.output);
    sink.publish(prepared.model.checkpoint, options.force);
  } catch (const std::exception&) {
    if (log.layers_kept() == 0) {  // nothing worth keeping: the folder goes, and the next run starts over
      sink.discard();
      log.finish();
    }
    throw;
  }
  log.finish();
  report_end(prepared, options, {.tokens = tokens ? &*tokens : nullptr, .timer = timer}, times, reporter);
}

}  // namespace strata
