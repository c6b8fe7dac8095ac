// strata verify: is this output whole, well formed and true to its source? Reads no more than it must.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/interrupt.h"

namespace strata {

struct VerifyOptions {
  std::string model;
  std::string source;  // empty: checks that need the source are left out and said so
  bool deep = false;   // read every code, decode every Linear
  const StopFlag* stop = nullptr;
};

struct VerifyFinding {
  std::string rule;     // short stable name: "scale-range"
  std::string subject;  // tensor or file
  std::string message;  // what is wrong, with both numbers
};

// How near the decoded weights of one Linear are to the source's.
struct LinearQuality {
  std::string module;
  std::string format;
  double sqnr = 0;   // dB; infinity when they are equal, -infinity when the source is 0 or one is NaN
  double floor = 0;  // dB below which a Linear of this format is flagged
};

struct VerifyReport {
  std::vector<VerifyFinding> failures;  // empty: the output is good
  std::vector<VerifyFinding> notes;     // what loads, but a user may want to know
  std::vector<LinearQuality> quality;   // of every Linear, worst first; empty without `deep` and a source
  std::vector<std::pair<std::string, std::string>> facts;  // what was checked, and which loaders take it
};

VerifyReport verify(const VerifyOptions& options);

}  // namespace strata
