// Sets the machine up for one run: device, threads, determinism.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace strata {

// "cpu" of "cpu", "cuda" of "cuda:1": what decides about the last bits of a result. Any device, this build's or not.
std::string_view device_kind(std::string_view device);

// What decides about the last bits of what libtorch computes: its version and the instruction set that it uses here,
// "2.11.0 AVX512". Our own kernels give the same bits with any.
std::string libtorch_arithmetic();

// Limits oneTBB to `threads` (0 = all cores) for as long as it lives. All parallelism is ours, over samples, rows
// and Linears: libtorch runs on one thread inside each of them, which keeps results independent of the number of
// threads and keeps two pools from spinning against each other. Error{usage} for a device that this build does
// not have.
class ComputeSession {
 public:
  ComputeSession(const std::string& device, int threads);
  ~ComputeSession();
  int threads() const { return threads_; }

 private:
  int threads_;
  struct Limits;
  std::unique_ptr<Limits> limits_;
};

}  // namespace strata
