// Makes the calls of base/ on files fail where a test says.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "base/fault_point.h"

namespace strata::test {

struct Call {
  FileOperation operation;
  std::string path, to;
};

// A hook while it exists. One at a time.
class PlantedFault {
 public:
  using Decide = std::function<Interference(const Call&)>;
  explicit PlantedFault(Decide decide) {
    current() = std::move(decide);
    set_fault_hook([](FileOperation operation, std::string_view path, std::string_view to) {
      static std::mutex mutex;
      const std::lock_guard lock(mutex);
      return current()({.operation = operation, .path = std::string(path), .to = std::string(to)});
    });
  }
  ~PlantedFault() { set_fault_hook(nullptr); }
  PlantedFault(const PlantedFault&) = delete;
  PlantedFault& operator=(const PlantedFault&) = delete;

 private:
  static Decide& current() {
    static Decide decide;
    return decide;
  }
};

// Fails the n-th call of `operation`, counted from 1.
inline PlantedFault::Decide failing(FileOperation operation, int n, int error) {
  return [=, seen = 0](const Call& call) mutable {
    return call.operation == operation && ++seen == n ? Interference{.error = error} : Interference{};
  };
}

inline PlantedFault::Decide shortened(FileOperation operation, std::uint64_t most) {
  return [=](const Call& call) { return call.operation == operation ? Interference{.at_most = most} : Interference{}; };
}

}  // namespace strata::test
