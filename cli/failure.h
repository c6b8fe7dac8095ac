// From an exception to what the user is told and the exit code. docs/cli.md lists the codes.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace strata {

struct Failure {
  std::string_view kind;  // "usage", "budget", "input", "check", "busy", "io", "interrupted", "internal"
  std::string message;    // one line: "subject: text"
  int exit_code = 1;
};

// Of the exception that is being handled: call inside a catch block. `signal` is the one that stopped the
// run, if one did.
Failure current_failure(int signal);

int exit_code(Fault fault, int signal);

// Line breaks and control characters become single spaces.
std::string one_line(std::string_view message);

}  // namespace strata
