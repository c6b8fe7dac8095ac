#include "engine/eval/forward_work.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "cache/source_identity.h"
#include "engine/work/work_folder.h"
#include "engine/work/work_place.h"

namespace strata {
namespace {

QuantizeRequest request_of(const ForwardOptions& options) {
  QuantizeRequest request;
  request.places.model = options.lanes.front().model->checkpoint.directory();
  request.places.work_directory = options.work_directory;
  request.machine.device = options.device;
  return request;
}

// All that hidden states depend on beside the first model and the tokens.
std::string lanes_text(const ForwardOptions& options) {
  Hasher hasher;
  for (const LaneSpec& lane : options.lanes) {
    const Checkpoint& checkpoint = lane.model->checkpoint;
    hasher.add(fmt::format("{} {} ", static_cast<int>(lane.decode), static_cast<int>(lane.inputs)));
    hasher.add(checkpoint.config_text());
    for (const auto& [name, identity] : source_identities(checkpoint)) hasher.add(name).add(identity);
  }
  return hasher.hex();
}

RunKeys keys_of(const RunPlan& plan, const QuantizeRequest& request, const ForwardOptions& options) {
  RunKeys keys(plan, request, &options.tokens, {.lanes = lanes_text(options)});
  keys.add_sweeps(plan, request, 0, plan.sweeps.size());
  return keys;
}

}  // namespace

void require_forward_folder(const ForwardOptions& options) {
  const std::string& folder = options.work_directory;
  for (const LaneSpec& lane : options.lanes) {
    const std::string& model = lane.model->checkpoint.directory();
    require_work_directory(folder, model, model);
  }
  require_work_of(folder, WorkKind::forward);
}

ForwardWork::ForwardWork(const ForwardOptions& options, OpenModel model, const PlannedSweep& sweep)
    : request_(request_of(options)),
      lock_(lock_work_directory(options.work_directory)),
      plan_{.model = std::move(model), .learns = true, .sweeps = {sweep}},
      keys_(keys_of(plan_, request_, options)),
      disk_("disk", std::numeric_limits<std::uint64_t>::max()),
      log_(keys_, {.places = request_.places,
                   .disk = disk_,
                   .start_over = "another -w FOLDER starts over, and so does this one when it is removed"}),
      sweep_(log_.open_sweep(plan_, 0)) {
  remove_scratch(options.work_directory);  // of a run that was killed
  give_back_freed_memory();                // what the keys and looking at the earlier run took
}

std::string ForwardWork::scratch_folder() const {
  return join_path(request_.places.work_directory, work_names::scratch);
}

void ForwardWork::report(Reporter& reporter) const {
  const std::string& folder = request_.places.work_directory;
  const std::string differences = fmt::format("{}", fmt::join(log_.differences(), "; "));
  const std::vector<char>& done = sweep_.resume().done;
  if (log_.go_on())
    reporter.decision(folder, fmt::format("goes on: {} of {} steps are taken over from an earlier run",
                                          std::ranges::count(done, 1), done.size()));
  else if (!differences.empty() || !log_.reason().empty())
    reporter.decision(folder, fmt::format("starts over: {}", differences.empty() ? log_.reason() : differences));
}

void ForwardWork::finish() {
  log_.finish();
  remove_scratch(request_.places.work_directory);
}

}  // namespace strata
