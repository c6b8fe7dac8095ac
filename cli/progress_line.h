// The lines of the text log, as pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/reporter.h"

namespace strata {

// "[ 3/64] layer 1    moe     12.3 s  1.21 GB/s  3.20 GiB  err 9.21%  NVFP4 384 KEEP 1"
std::string layer_line(const LayerDone& layer, bool verbose);

struct Status {
  std::string pass;  // "decode, render"
  int done = 0, total = 0;
  double elapsed = 0;            // seconds
  std::optional<double> left;    // seconds
  std::uint64_t bytes_read = 0;  // in this pass
  std::uint64_t resident = 0;    // bytes
};

// "[####......] 17/62  3:31, 6:41 left  1.21 GB/s  3.20 GiB  propagate, render"
std::string status_line(const Status& status);

// At most `columns` characters (code points of UTF-8).
std::string cut(std::string line, int columns);

}  // namespace strata
