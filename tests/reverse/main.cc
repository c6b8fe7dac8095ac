// reverse_sweep MODEL IDS WORK_FOLDER [GROUP_BYTES [MAX_MEMORY]]: a forward sweep that keeps the hidden states of every
// layer, and a reverse one that takes the cotangents in WORK_FOLDER back to the embedding. Prints the largest number of
// groups in which the experts of a layer came, the peak of the smallest plan, and what was resident.
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/device/compute.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/stream.h"
#include "formats/text/dataset.h"
#include "tests/reverse/back_propagate.h"

namespace {

using namespace strata;

void run(const std::string& folder, const std::string& ids, const std::string& work, std::uint64_t group,
         std::uint64_t limit) {
  const ComputeSession session("cpu", 2);
  const QuantizeRequest request{.places = {.model = folder, .output = work + "/out", .work_directory = work}};
  RunPlan plan{.model = open_model(folder), .learns = true};
  const TokenRows tokens = read_token_file(ids);
  const BoundaryShape shape = boundary_shape(tokens.rows, tokens.columns, plan.model.spec->hidden);
  const std::vector<const PassType*> passes = {&pass_type("decode"), &pass_type("propagate"), &test::back_propagate};
  const PassQuestion question = plan.question(request);
  std::uint64_t smallest = 0;
  for (const SweepPlan& sweep : plan_sweeps(passes, {})) {
    PlannedSweep& planned = plan.sweeps.emplace_back(PlannedSweep{.passes = sweep, .cut = {}});
    if (sweep.direction == Direction::reverse) {
      planned.moving = {{&test::cotangents, shape, test::cotangent_sets}};
      planned.found = {{&facts::boundary, shape}};
    } else {
      planned.moving = {{&facts::boundary, shape}};
    }
    const SweepQuestion asked{.pass = question,
                              .sweep = planned.passes,
                              .moving = planned.moving,
                              .found = planned.found,
                              .threads = 2,
                              .base = resident_bytes()};
    planned.cut = plan_memory(asked, limit);
    smallest = std::max(smallest, plan_memory(asked, 0).memory.peak());
    planned.cut.cut.limits.group_bytes = group;
    ++planned.cut.cut.slots;  // the mixer's part stays while the others come
  }
  plan.memory_limit = limit;

  RunKeys keys(plan, request, &tokens);
  keys.add_sweeps(plan, request, 0, plan.sweeps.size());
  Budget disk("disk", std::numeric_limits<std::uint64_t>::max()), memory("memory", limit);
  const Lease base = memory.take(plan.sweeps.front().cut.memory.base, "the program itself");
  RunLog log(keys, {.places = request.places, .disk = disk});
  StageTimes times;
  Reporter reporter;
  {
    Stream stream(plan, request, {.tokens = &tokens}, {.memory = memory, .times = times, .reporter = reporter});
    for (std::size_t i = 0; i < plan.sweeps.size(); ++i) {
      SweepLog& sweep = log.open_sweep(plan, i);
      sweep.begin();
      stream.run(i, sweep, {});
    }
    stream.finish();
  }
  log.finish();
  std::size_t groups = 0;
  for (std::size_t i = 0; i < plan.model.visits.size(); ++i) {
    const std::vector<Part> parts = cut_visit(plan.model, plan.model.visits[i], i, true, {.group_bytes = group});
    groups = std::max<std::size_t>(
        groups, static_cast<std::size_t>(std::ranges::count(parts, Part::Kind::experts, &Part::kind)));
  }
  fmt::print("{} {} {}\n", groups, smallest, peak_resident_bytes());
}

}  // namespace

int main(int count, char** arguments) {
  keep_small_blocks();
  try {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    if (words.size() < 3) fail(Fault::usage, "usage: reverse_sweep MODEL IDS WORK_FOLDER [GROUP_BYTES [MAX_MEMORY]]");
    run(words[0], words[1], words[2], words.size() > 3 ? std::stoull(words[3]) : 0,
        words.size() > 4 ? std::stoull(words[4]) : std::numeric_limits<std::uint64_t>::max());
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
