// One visit to all layers: load, run the passes, report.
#pragma once

#include <span>
#include <string_view>

#include "engine/pass.h"

namespace strata {

// Runs the named passes, in this order, over every visit of the model. Error{interrupted} when run.stop is set.
void sweep(RunContext& run, std::span<const std::string_view> pass_names, Reporter& reporter);

}  // namespace strata
