// From an exception to what the user is told and the exit code. docs/cli.md lists the codes.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"

namespace strata {

// Thrown by a command that compares when there is a difference and its exit code was asked to say so: exit 1, as
// that of diff and git. Not a fault of anything.
struct Different : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Failure {
  // "usage", "budget", "input", "check", "busy", "io", "interrupted", "different", "internal"
  std::string_view kind;
  std::string message;  // one line: "subject: text"
  int exit_code = 1;
};

// Of the exception that is being handled: call inside a catch block. `signal` is the one that stopped the
// run, if one did.
Failure current_failure(int signal);

int exit_code(Fault fault, int signal);

// Line breaks and control characters become single spaces.
std::string one_line(std::string_view message);

}  // namespace strata
