// What verify says of the small outputs.
#pragma once

#include "engine/check/verify.h"
#include "tests/support/small_output.h"

namespace strata::test {

inline VerifyReport report_of(const Output& output, bool with_source = true, bool deep = false) {
  return verify({.model = output.model, .source = with_source ? output.source : "", .deep = deep});
}

}  // namespace strata::test
