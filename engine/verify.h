// strata verify: is this output whole, well formed and true to its source? Reads no more than it must.
#pragma once

#include <string>
#include <vector>

#include "base/interrupt.h"

namespace strata {

struct VerifyOptions {
  std::string model;
  std::string source;   // empty: checks that need the source are left out and said so
  const StopFlag* stop = nullptr;
};

struct VerifyFinding {
  std::string rule;      // short stable name: "scale-range"
  std::string subject;   // tensor or file
  std::string message;   // what is wrong, with both numbers
};

struct VerifyReport {
  std::vector<VerifyFinding> failures;            // empty: the output is good
  std::vector<std::pair<std::string, std::string>> facts;  // what was checked, and which loaders take it
};

VerifyReport verify(const VerifyOptions& options);

}  // namespace strata
