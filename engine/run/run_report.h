// What a quantize run tells its user, and the records it leaves of where it reads and writes.
#pragma once

#include "base/reporter.h"
#include "base/stage_times.h"
#include "engine/run/prepare.h"
#include "engine/sweep/stream.h"
#include "engine/work/sweep_log.h"

namespace strata {

void report_start(const RunPlan& plan, const PlacesRequest& places, Reporter& reporter);

// What is taken over from an earlier run, and why not; `explain`: of every layer.
void report_resume(const RunLog& log, const SweepLog& sweep, const PlacesRequest& places, bool explain,
                   Reporter& reporter);
// The same of a later sweep, which only goes on.
void report_taken_over(const SweepLog& sweep, bool explain, Reporter& reporter);

void report_end(const RunPlan& plan, const QuantizeRequest& request, const StreamInput& input, const StageTimes& times,
                Reporter& reporter);

// Of a process that is done before others that share its output.
void report_waiting(const PlacesRequest& places, const Timer& timer, Reporter& reporter);

// Of a run whose output had appeared before it was killed.
void report_finished(const PlacesRequest& places, const Timer& timer, Reporter& reporter);

// "run.json" in the work directory: absolute paths of model and output, for `strata status` and `strata clean`.
void write_places(const PlacesRequest& places);

}  // namespace strata
