// Whether a run needs calibration data, and the data.
#pragma once

#include <span>

#include "engine/graph/collect.h"
#include "engine/measure/measured_windows.h"
#include "engine/plan/assignment.h"
#include "engine/plan/open_model.h"
#include "engine/plan/request.h"
#include "formats/text/dataset.h"

namespace strata {

// True when there is a dataset and something is learnt from it: `collects` is what the passes want of each Linear.
// Error{usage} when a scale must be measured and there is none; windows longer than the model's positions are
// Error{input}.
bool needs_calibration(const OpenModel& model, const CalibrationRequest& data, const Assignment& assignment,
                       std::span<const Collect> collects);

// Memory that reading the data and tokenizing it takes at its peak, from the sizes of the files.
std::uint64_t data_memory(const QuantizeRequest& request, const OpenModel& model);

TokenRows calibration_tokens(const CalibrationRequest& data, const OpenModel& model);

// The windows that the result is measured on. Errors as those of token_windows().
MeasuredWindows held_out_tokens(const QuantizeRequest& request, const OpenModel& model);

}  // namespace strata
