// Runs that would quantize nothing although something was asked for.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/assignment.h"

namespace strata {

// What flags and file ask for, before shapes and --ignore have their say.
struct AskedFormats {
  struct One {
    const LinearSpec* linear;
    const NumberFormat* format;
  };
  const NumberFormat* first = nullptr;  // the first format that quantizes; nullptr: nothing was to be quantized
  std::vector<One> linears;             // that were to be quantized and that nothing ignores, in order
};

// Why none of them is quantized as asked, with what would be the nearest to it; "" when one is, or when nothing was
// asked for. `calibrated`: formats that need data may be named.
std::string nothing_quantized(const OpenModel& model, const AskedFormats& asked, const Assignment& assignment,
                              bool calibrated);

}  // namespace strata
