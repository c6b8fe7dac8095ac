#include "engine/sweep/sweep_time.h"

#include <algorithm>
#include <cmath>

#include "engine/graph/facts.h"
#include "engine/sweep/memory_plan.h"

namespace strata {
namespace {

// The journal; a file of each set of hidden states and of each fact, and its folder; the shards.
double syncs_of_a_visit(const PlannedSweep& sweep) {
  double syncs = 1;
  for (const MovingStates& states : sweep.moving) syncs += 2 * static_cast<double>(states.lanes);
  for (const FactInfo* fact : sweep.passes.keeps)
    if (!fact->moves_on && !fact->whole_model) syncs += 2;
  if (sweep.passes.writes(facts::output)) syncs += 1;
  return syncs;
}

// A block goes through a layer in one thread: some have none in the last round.
double idle_factor(const BoundaryShape& states, int threads) {
  const double blocks = std::max(1.0, static_cast<double>(states.blocks()));
  return std::ceil(blocks / threads) * threads / blocks;
}

}  // namespace

WorkSheet sweep_work(const RunPlan& plan, const PlannedSweep& sweep, const PassQuestion& question) {
  const std::vector<Part> parts = cut_run(question, sweep.passes, sweep.cut.cut.limits);
  const WorkQuestion about{
      .pass = question,
      .sweep = sweep.passes,
      .parts = parts,
      .output = static_cast<double>(plan.output ? plan.output->total_bytes : plan.most_output),
      .columns = std::ranges::any_of(plan.collects, [](Collect wanted) { return has(wanted, Collect::squares); })};
  WorkSheet sheet;
  for (const PassType* pass : sweep.passes.passes) {
    WorkQuestion mine = about;
    for (const MovingStates& states : sweep.moving)
      if (pass->writes.contains(*states.fact)) {
        mine.states = states.shape;
        mine.lanes = states.lanes;
      }
    if (pass->work != nullptr) pass->work(mine, sheet);
  }
  double bytes = 0;
  for (const Part& part : parts)
    for (const TensorPiece& piece : part.pieces) bytes += static_cast<double>(piece.bytes);
  if (bytes > 0) sheet.add(Effort::read, bytes);
  if (!parts.empty())
    sheet.add(Effort::commit, static_cast<double>(plan.model.visits.size()) * syncs_of_a_visit(sweep));
  return sheet;
}

SweepTime time_of(const WorkSheet& work, const MachineRates& rates, const PlannedSweep& sweep) {
  const BoundaryShape states = sweep.moving.empty() ? BoundaryShape() : sweep.moving.front().shape;
  const int threads = sweep.cut.cut.threads;
  SweepTime time;
  WorkRow packed{.kind = Effort::write};
  for (const WorkRow& row : work.rows()) {
    switch (row.kind) {
      case Effort::read:
        time.read += rates.seconds(row);
        break;
      case Effort::write:
      case Effort::commit:
        time.write += rates.seconds(row);
        break;
      case Effort::pack:
        packed.amount = row.amount * rates.packed();
        time.write += rates.seconds(packed);
        [[fallthrough]];
      case Effort::unpack:
      case Effort::encode:
      case Effort::decode:
        time.compute += rates.seconds(row);
        break;
      default:
        time.compute += rates.seconds(row) * idle_factor(states, threads);
    }
  }
  return time;
}

}  // namespace strata
