// Errors that end the run. Everything else is an optional or a bool.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace strata {

// What the user can do about an error. main() maps it to the exit code (docs/cli.md).
enum class Fault {
  bug,          // ours: exit 1
  usage,        // a flag, a pattern that matches nothing, an existing output: exit 2
  budget,       // will not fit in memory or on disk: exit 4
  input,        // the model or the data is unsupported or broken: exit 5
  check,        // a verification failed: exit 6
  mismatch,     // what an earlier run left was made from something else, and the user wants none of it redone: exit 7
  busy,         // another run holds the work directory: exit 8
  io,           // reading or writing failed while running, full disk included: exit 9
  interrupted,  // SIGINT or SIGTERM: exit 128 + signal
  resumable,    // stopped on request; the same command goes on where it was: exit 75
};

struct Error : std::runtime_error {
  Error(Fault fault_, std::string what) : std::runtime_error(without_nul(std::move(what))), fault(fault_) {}
  Fault fault;

 private:
  // what() ends at the first NUL, which names out of foreign files may hold.
  static std::string without_nul(std::string text) {
    for (char& letter : text)
      if (letter == 0) letter = '?';
    return text;
  }
};

// Throws Error. Write the subject first (file, tensor, layer), then both numbers, then the way out.
template <typename... Part>
[[noreturn]] void fail(Fault fault, fmt::format_string<Part...> format, Part&&... part) {
  throw Error(fault, fmt::format(format, std::forward<Part>(part)...));
}

}  // namespace strata
