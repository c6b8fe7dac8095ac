#include "engine/run/plan_details.h"

#include <algorithm>

#include "engine/passes/probe_menu.h"
#include "engine/plan/menu_index.h"
#include "engine/run/time_plan.h"
#include "engine/sweep/memory_plan.h"

namespace strata {
namespace {

// Files of hidden states are called after what they are of.
std::string kind_of(const CostRow& row, const PlannedSweep& sweep) {
  if (row.holder == "hidden states" && !sweep.moving.empty()) return std::string(sweep.moving.front().fact->name);
  return std::string(row.holder);
}

std::size_t lanes_of(const PlannedSweep& sweep) {
  std::size_t lanes = 0;
  for (const MovingStates& states : sweep.moving) lanes += states.lanes;
  return std::max<std::size_t>(lanes, 1);
}

SweepCosts costs_of(const RunPlan& plan, const PlannedSweep& sweep, const QuantizeRequest& request) {
  const MemoryPlan& memory = sweep.cut.memory;
  SweepCosts costs{.lanes = lanes_of(sweep), .peak_memory = memory.peak()};
  costs.memory = {{"base", memory.base}};
  // Reading the data set comes first, and is given back.
  const std::uint64_t working = memory.sheet.total(Resource::host);
  if (memory.data > working) costs.memory.emplace_back("data set", memory.data);
  for (const CostRow& row : memory.sheet.rows()) {
    if (row.resource == Resource::disk) costs.disk.emplace_back(kind_of(row, sweep), row.bytes);
    if (row.resource == Resource::host && memory.data <= working) costs.memory.emplace_back(row.holder, row.bytes);
  }
  for (const Part& part : cut_run(plan.question(request), sweep.passes, sweep.cut.cut.limits))
    for (const TensorPiece& piece : part.pieces) costs.bytes_read += piece.bytes;
  return costs;
}

// Of the formats that Linears get, or may get where the run chooses.
ServingSizes sizes_of(const RunPlan& plan, const QuantizeRequest& request) {
  const ModelSpec& spec = *plan.model.spec;
  if (plan.assignment)
    return serving_sizes(spec, [&](const LinearSpec& linear) { return std::vector{&plan.assignment->of(linear)}; });
  if (!request.mixed.wanted())
    return serving_sizes(spec, [](const LinearSpec&) { return std::vector<const NumberFormat*>{nullptr}; });
  const Menu menu = probe_menu(plan.question(request));
  const Assignment others = menu_assignment(plan.question(request), menu);
  const MenuIndex units(plan.model, menu);
  return serving_sizes(spec, [&](const LinearSpec& linear) {
    const MenuUnit* const unit = units.unit_of(linear);
    if (unit == nullptr) return std::vector{&others.of(linear)};
    std::vector<const NumberFormat*> all;
    for (const MenuOption& option : unit->options) all.push_back(option.format);
    return all;
  });
}

}  // namespace

void add_details(PlanSummary& summary, const RunPlan& plan, const QuantizeRequest& request, bool measure) {
  summary.bytes_read = 0;
  summary.tensor_parallel = sizes_of(plan, request);
  for (const PlannedSweep& sweep : plan.sweeps) {
    summary.costs.push_back(costs_of(plan, sweep, request));
    summary.bytes_read += summary.costs.back().bytes_read;
  }
  if (measure) {
    const std::vector<SweepTime> times = time_sweeps(plan, request);
    for (std::size_t i = 0; i < times.size(); ++i) summary.costs[i].time = times[i];
  }
  if (!request.mixed.wanted()) return;
  const Menu menu = probe_menu(plan.question(request));
  summary.units = menu.units.size();
  for (const std::string& name : request.mixed.formats) {
    const NumberFormat& asked = require_number_format(name);
    const auto units = std::ranges::count_if(menu.units, [&](const MenuUnit& unit) {
      return std::ranges::any_of(unit.options, [&](const MenuOption& option) {
        return option.format == &asked || (asked.verbatim && option.format->verbatim);
      });
    });
    summary.options.emplace_back(asked.name, static_cast<std::size_t>(units));
  }
}

}  // namespace strata
