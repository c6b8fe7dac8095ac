// Runs the engine on a model whose spec the test changes: families that are not there yet.
#pragma once

#include <functional>
#include <limits>
#include <optional>

#include "base/memory.h"
#include "engine/device/compute.h"
#include "engine/eval/lane.h"
#include "engine/run/calibration.h"
#include "engine/run/prepare.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/stream.h"
#include "engine/work/run_keys.h"
#include "engine/work/work_place.h"
#include "profiles/claims.h"
#include "profiles/profile.h"
#include "profiles/source_storage.h"
#include "tests/unit/engine/run/whole_run.h"

namespace strata::test {

using ChangeSpec = std::function<void(ModelSpec&)>;

// As open_model(), with what `change` makes of the spec that the family gives. `described`: another folder,
// whose checkpoint the family describes; empty for the same.
inline OpenModel open_described(const std::string& directory, const ChangeSpec& change,
                                const std::string& described = "") {
  Checkpoint checkpoint = Checkpoint::open(directory);
  const Checkpoint model = Checkpoint::open(described.empty() ? directory : described);
  ModelSpec spec = describe_model(require_profile(model.config()), model);
  change(spec);
  number_linears(spec);
  SourceStorage storage = find_storage(checkpoint, spec);
  const Claims claims = claim_tensors(
      spec, checkpoint,
      {.format = [&](std::string_view module) { return storage.stored.format_of(module); }, .native = storage.native});
  require_no_problems(claims, checkpoint);
  return OpenModel(std::move(checkpoint), std::move(storage.stored), std::move(spec), storage.native, claims.dropped);
}

inline Prepared prepare_described(OpenModel model, const QuantizeRequest& request, int threads) {
  const CalibrationRequest& data = request.calibration;
  const bool calibrate = !data.dataset.empty();
  Assignment assignment = assign_formats(model, request.assignment, {.has_data = calibrate});
  OutputPlan output = plan_output(model, assignment, request.places.shard_size);
  const CutPlan plan = plan_memory(model, assignment,
                                   {.samples = calibrate ? data.nsamples : 0,
                                    .tokens = calibrate ? data.seqlen : 0,
                                    .threads = threads,
                                    .base = resident_bytes()},
                                   request.machine.max_memory > 0 ? request.machine.max_memory : usable_memory_bytes());
  Prepared prepared{.model = std::move(model),
                    .assignment = std::move(assignment),
                    .output = std::move(output),
                    .calibrate = calibrate,
                    .cut = plan.cut,
                    .memory = plan.memory,
                    .memory_limit = usable_memory_bytes()};
  if (calibrate)
    prepared.boundary = boundary_shape(data.nsamples, data.seqlen, prepared.model.spec->hidden, data.boundary);
  return prepared;
}

// quantize() from there on: Error{resumable} when the watcher stops it, and then the same call goes on.
inline void quantize_described(OpenModel model, QuantizeRequest request, Watcher& watcher) {
  request.stop = &watcher.stop;
  const ComputeSession session("cpu", request.machine.threads);
  const Prepared prepared = prepare_described(std::move(model), request, session.threads());
  const FileLock lock = lock_work_directory(request.places.work_directory);
  std::optional<TokenRows> tokens;
  if (prepared.calibrate) tokens = calibration_tokens(request.calibration, prepared.model);
  const RunKeys keys = run_keys(prepared, request, tokens ? &*tokens : nullptr);
  Budget disk("disk", std::numeric_limits<std::uint64_t>::max());
  RunLog log(prepared, keys, {.places = request.places, .disk = disk});
  Budget memory("memory", prepared.memory_limit);
  ShardSink sink(prepared.output, request.places.output, memory, {.go_on = log.resume().go_on, .run_id = log.run_id()});
  StageTimes times;
  log.begin();
  stream(prepared, request, {.tokens = tokens ? &*tokens : nullptr},
         {.log = log, .memory = memory, .sink = sink, .times = times, .reporter = watcher});
  sink.publish(prepared.model.checkpoint, false);
  log.finish();
}

// Of all positions of a token file, in order.
inline std::vector<float> logits_of(const OpenModel& model, const std::string& ids) {
  const ComputeSession session("cpu", run_threads(2));
  const TokenRows tokens = read_token_file(ids);
  LaneMemory memory(0);
  std::vector<Lane> lanes;
  lanes.emplace_back(model, DecodeAs::f32, ActivationMode::none, tokens, memory.budget);
  Reporter silent;
  std::vector<float> all;
  run_lanes(lanes, tokens, memory.budget, silent, nullptr,
            [&](std::int64_t, std::span<const std::span<const float>> rows) {
              all.insert(all.end(), rows[0].begin(), rows[0].end());
            });
  return all;
}

}  // namespace strata::test
