// The records of a run that chose its formats: in its work folder, and the small ones inside the output.
#pragma once

#include <optional>
#include <string>

#include "base/reporter.h"
#include "engine/graph/run_plan.h"
#include "engine/prices/allocation.h"

namespace strata {

// What formats were chosen by, and what was chosen.
struct ChosenRecord {
  Prices prices;
  Allocation chosen;
};

// Of a run whose assignment is known, by prices.json of the folder that it was chosen in; nullopt for a run that chose
// nothing, and where the file has gone or is another run's.
std::optional<ChosenRecord> chosen_record(const RunPlan& plan, const QuantizeRequest& request);

// assignment.json in the work folder: with a record, what each Linear takes and costs too.
void write_assignment(const RunPlan& plan, const QuantizeRequest& request);

// Puts assignment.json, prices.json, costs.csv and, where there are such of the same prices, pareto.csv and
// measured.json into `strata/` below `folder`, the output before it appears. Nothing with --no-records.
void add_records(const RunPlan& plan, const QuantizeRequest& request, const std::string& folder, Reporter& reporter);

}  // namespace strata
