// The sweeps of a run in one line: "forward decode propagate; reverse probe".
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace strata::test {

inline std::string sweep_shape(const std::vector<SweepPlan>& sweeps) {
  std::string text;
  for (const SweepPlan& sweep : sweeps) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", direction_name(sweep.direction));
    for (const PassType* pass : sweep.passes) text += fmt::format(" {}", pass->name);
  }
  return text;
}

}  // namespace strata::test
