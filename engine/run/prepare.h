// Everything about a quantize run that is known before the first weight is read.
#pragma once

#include <optional>
#include <string>

#include "engine/device/compute.h"
#include "engine/graph/run_plan.h"
#include "engine/measure/measured_windows.h"
#include "engine/run/quantize.h"
#include "engine/work/run_keys.h"
#include "formats/text/dataset.h"

namespace strata {

// Reads headers only. Every error that can be known now is thrown now.
RunPlan prepare(const QuantizeRequest& request, const ComputeSession& session);

// The same for a model that is open.
RunPlan plan_run(OpenModel model, const QuantizeRequest& request, int threads);

// What goes through the model.
struct RunTokens {
  std::optional<TokenRows> calibration;      // nothing without data
  std::optional<MeasuredWindows> held_out;   // that the result is measured on; nothing where it is not
  std::optional<MeasuredWindows> selection;  // that budgets are compared on, where that chooses one

  const TokenRows* learnt_from() const { return calibration ? &*calibration : nullptr; }
  const MeasuredWindows* measured_on() const { return held_out ? &*held_out : nullptr; }
  const MeasuredWindows* chosen_by() const { return selection ? &*selection : nullptr; }
};

// Reads it. There may be fewer held-out windows than `plan` had room for: its shapes become those that there are.
RunTokens tokens_of(RunPlan& plan, const QuantizeRequest& request);

// What is computed from what, by name.
RunKeys keys_of(const RunPlan& plan, const QuantizeRequest& request, const RunTokens& tokens);

// Gives every byte of the output its place, once the assignment is known.
void lay_out(RunPlan& plan, const QuantizeRequest& request);

PlanSummary summarize(const RunPlan& plan, const QuantizeRequest& request);

}  // namespace strata
