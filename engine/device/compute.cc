#include "engine/device/compute.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <tbb/global_control.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "engine/device/tensor_memory.h"

namespace strata {

std::string_view device_kind(std::string_view device) { return device.substr(0, device.find(':')); }

std::string libtorch_arithmetic() { return fmt::format("{} {}", TORCH_VERSION, at::get_cpu_capability()); }

struct ComputeSession::Limits {
  explicit Limits(int threads) : tbb(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)) {}
  tbb::global_control tbb;
};

ComputeSession::ComputeSession(const std::string& device, int threads)
    : threads_(threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
  if (device != "cpu" && !device.starts_with("cuda"))
    fail(Fault::usage, "--device {}: is not a device; this build has cpu", device);
  if (device != "cpu") fail(Fault::usage, "--device {}: this build has no CUDA; use --device cpu", device);
  at::set_num_threads(1);
  use_own_tensor_memory();
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  limits_ = std::make_unique<Limits>(threads_);
}
ComputeSession::~ComputeSession() = default;

}  // namespace strata
