// Threads of their own for work that mostly waits for the disk, or that is measured: the pool of the run stays free.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <vector>

namespace strata {

// Calls body(i) once for each i of [0, count) on up to `threads` threads. Returns when all are done; what a body
// throws ends its thread's share and is thrown here.
template <typename Body>
void in_parallel(std::int64_t count, int threads, const Body& body) {
  std::atomic<std::int64_t> next = 0;
  const auto work = [&] {
    for (std::int64_t i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::future<void>> others;
  for (std::int64_t t = 1; t < std::min<std::int64_t>(threads, count); ++t)
    others.push_back(std::async(std::launch::async, work));
  work();
  for (std::future<void>& other : others) other.get();
}

}  // namespace strata
