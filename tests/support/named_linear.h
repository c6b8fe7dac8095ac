// Linears of a model by name, as tests ask for them.
#pragma once

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string_view>

#include "engine/plan/assignment.h"

namespace strata::test {

inline const LinearSpec& linear_named(const OpenModel& model, std::string_view module) {
  const auto found =
      std::ranges::find_if(model.linears, [&](const LinearPlan& linear) { return linear.spec->module == module; });
  REQUIRE(found != model.linears.end());
  return *found->spec;
}

inline std::string_view format_of(const OpenModel& model, const Assignment& assignment, std::string_view module) {
  return assignment.of(linear_named(model, module)).name;
}

}  // namespace strata::test
