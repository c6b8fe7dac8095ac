// A quantization_config that no tensor bears out: profiles/source_storage.h.
#pragma once

#include <string>

#include "base/reporter.h"
#include "engine/plan/open_model.h"

namespace strata {

// What is said of it, behind the path of the config.json; empty when there is none.
std::string leftover_of(const OpenModel& model);

// As a decision, where there is one.
void report_leftover(const OpenModel& model, Reporter& reporter);

}  // namespace strata
