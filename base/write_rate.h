// How fast a folder's disk takes what is written, by a short measurement that leaves nothing there.
#pragma once

#include <string>

namespace strata {

struct WriteRate {
  double bytes_per_second = 0;  // 0: it could not be measured
  double seconds_a_sync = 0;
};

// Writes up to 64 MiB, for a tenth of a second, past the page cache where the file system can, to a file without a name
// in `folder`, or in the nearest folder above it that exists. Nothing measured where that cannot be.
WriteRate measure_write_rate(const std::string& folder);

}  // namespace strata
