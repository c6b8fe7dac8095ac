// What bad input may do: nothing, or end in an Error that blames the input, soon.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "base/error.h"

namespace strata::fuzz {

// Processor time under the sanitizers, which slow us down about threefold: a second without them is more.
inline constexpr double most_seconds = 2;

[[noreturn]] inline void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

inline void expect(bool holds, const char* what) {
  if (!holds) finding(what);
}

// Runs the action; any other exception than an Error, and any other fault, ends the process.
template <typename Action>
void try_input(const Action& action) {
  const std::clock_t start = std::clock();
  try {
    action();
  } catch (const Error& error) {
    if (error.fault != Fault::input && error.fault != Fault::usage)
      finding(fmt::format("fault {}: {}", static_cast<int>(error.fault), error.what()));
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (seconds > most_seconds) finding(fmt::format("took {:.1f} s of processor time", seconds));
}

}  // namespace strata::fuzz
