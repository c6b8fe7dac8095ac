// A request to stop, set by a signal handler in cli/ and polled by the engine between units of work.
#pragma once

#include <atomic>

#include "base/error.h"

namespace strata {

using StopFlag = std::atomic<int>;  // 0, or the number of the signal

inline void check_interrupt(const StopFlag* stop) {
  if (stop != nullptr && stop->load(std::memory_order_relaxed) != 0)
    fail(Fault::interrupted, "interrupted by signal {}", stop->load());
}

}  // namespace strata
