// The error that an action must end with.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "base/error.h"

namespace strata::test {

inline Error thrown_by(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  return {Fault::bug, ""};
}

}  // namespace strata::test
