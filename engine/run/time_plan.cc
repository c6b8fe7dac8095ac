#include "engine/run/time_plan.h"

#include <algorithm>

#include "engine/passes/probe_menu.h"

namespace strata {

std::vector<SweepTime> time_sweeps(const RunPlan& plan, const QuantizeRequest& request) {
  const PassQuestion question = plan.question(request);
  std::vector<WorkSheet> sheets;
  int threads = 1;
  for (const PlannedSweep& sweep : plan.sweeps) {
    sheets.push_back(sweep_work(plan, sweep, question));
    threads = std::max(threads, sweep.cut.cut.threads);
  }
  const RateQuestion about{
      .method = probe_method(question),
      .rule = plan.assignment ? plan.assignment->rule : probe_rule(question),
      .columns = std::ranges::any_of(plan.collects, [](Collect wanted) { return has(wanted, Collect::squares); }),
      .threads = threads,
      .files = plan.model.checkpoint.files(),
      .io = request.machine.io,
      .folder = request.places.output};
  const MachineRates rates = MachineRates::measure(sheets, about);
  std::vector<SweepTime> times;
  for (std::size_t i = 0; i < sheets.size(); ++i) times.push_back(time_of(sheets[i], rates, plan.sweeps[i]));
  return times;
}

}  // namespace strata
