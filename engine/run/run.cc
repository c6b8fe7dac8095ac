// The story of `strata quantize`, top to bottom.
#include <optional>
#include <vector>

#include "engine/output/output_folder.h"
#include "engine/run/calibration.h"
#include "engine/run/carry_out.h"
#include "engine/run/prepare.h"
#include "engine/run/run_report.h"
#include "engine/work/published.h"
#include "engine/work/run_keys.h"
#include "engine/work/work_place.h"

namespace strata {
namespace {

// Whether a run of the same question was killed after its output had appeared: then nothing is left to do but to tidy
// up, which this does. The question is asked in full, so that what would be refused today is refused.
bool finished_before(const QuantizeRequest& request, const ComputeSession& session) {
  const std::optional<PublishedRun> published = published_before(request.places, request.resume.mode);
  if (!published) return false;
  RunPlan plan = prepare(request, session);
  const RunTokens tokens = tokens_of(plan, request);
  if (keys_of(plan, request, tokens).run.hash() != published->run.hash()) return false;
  tidy_up_after(*published, request.places);
  return true;
}

}  // namespace

void quantize(const QuantizeRequest& request, Reporter& reporter) {
  const Timer timer;
  const PlacesRequest& places = request.places;
  const ComputeSession session(request.machine.device, request.machine.threads);
  require_work_directory(places.work_directory, places.output, places.model);
  require_work_of(places.work_directory, WorkKind::quantize);
  require_trace_place(places.trace, std::vector<std::string>{places.model, places.output, partial_folder(places.output),
                                                             places.work_directory, request.calibration.dataset,
                                                             request.measure.held_out, request.assignment.file});
  if (finished_before(request, session)) return report_finished(places, timer, reporter);
  require_output_free(places.output, places.model, places.force);

  RunPlan plan = prepare(request, session);
  const PlanSummary summary = summarize(plan, request);
  require_quantized(summary, request);
  require_fit(summary, request);
  // From here on the run fits, and where the assignment is known every byte of the output has its place.
  carry_out(std::move(plan), request, timer, reporter);
}

}  // namespace strata
