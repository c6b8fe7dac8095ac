// What bench_sweep measures, one a process: a whole run, and what its computing and its disk traffic take alone.
#pragma once

#include <cstdint>
#include <string>

#include "engine/run/quantize.h"

namespace strata::bench {

enum class Subject : std::uint8_t {
  plan,      // the memory that a run would take; touches nothing
  whole,     // quantize(), from opening the model to the output under its name
  compute,   // the same without reading and writing
  transfer,  // the same reads and writes without computing
};

struct Measured {
  double seconds = 0;
  std::uint64_t planned_peak = 0;       // of `plan`
  std::uint64_t peak = 0;               // VmHWM of this process
  std::uint64_t read = 0, written = 0;  // bytes that this process moved from and to storage, as the kernel counts
  std::string note;                     // one line: what it waited for, what it read with
};

// A whole run that starts in a process of its own: the peak is that of the process. Errors as those of quantize().
Measured measure(Subject subject, const QuantizeRequest& options);

}  // namespace strata::bench
