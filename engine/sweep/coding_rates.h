// How fast this machine codes weights and hidden states, on samples, with all threads at once.
#pragma once

#include <functional>

#include "engine/graph/work.h"
#include "engine/sweep/machine_rates.h"

namespace strata {

// Does something once, and says how much that was.
using Job = std::function<double()>;

// A job for each thread, all of them again and again for a few hundredths of a second: what they do in one.
double rate_of(int threads, const std::function<Job(int thread)>& make);

// Values a second, for rows of encode and decode.
double coding_rate(const WorkRow& row, const RateQuestion& question);

// Bytes of float32 a second to a file's frames and back, and the size of the file for each; compressed where that
// saves time on a disk that takes `write` bytes a second.
struct PackingRates {
  double pack = 0, unpack = 0, size = 1;
};
PackingRates packing_rates(int threads, double write);

}  // namespace strata
