// The device that computes: its memory, and the ways into it and out of it. There is the CPU now, whose memory is the
// host's; another kind brings its own memory and copies behind this face.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/leased_buffer.h"

namespace at {
class Tensor;
}

namespace strata {

enum class DeviceKind : std::uint8_t { cpu };

std::string_view device_kind_name(DeviceKind kind);  // "cpu", as device_kind() and the keys of a run have it

// A block of a device's memory, leased from its budget. Move-only.
class DeviceBuffer {
 public:
  void grow(std::uint64_t bytes) { bytes_.grow(bytes); }  // contents are lost when it grows
  std::uint64_t size() const { return bytes_.size(); }

 private:
  friend class Device;
  explicit DeviceBuffer(LeasedBuffer bytes) : bytes_(std::move(bytes)) {}
  LeasedBuffer bytes_;
};

// A small value: copies are the same device. Thread-safe for different buffers, and for different ranges of one.
class Device {
 public:
  // The CPU is its memory, so a budget of the host's stands for it.
  Device(Budget& memory) : memory_(&memory) {}  // NOLINT(google-explicit-constructor)

  DeviceKind kind() const { return DeviceKind::cpu; }
  Budget& memory() const { return *memory_; }

  DeviceBuffer take(std::string holder, std::uint64_t bytes = 0) const;

  // Calls `fill` with memory of the host; what it wrote is at [offset, offset + bytes) of the buffer when it returns.
  void write(DeviceBuffer& to, std::uint64_t offset, std::uint64_t bytes,
             const std::function<void(std::span<std::byte>)>& fill) const;
  void copy_in(std::span<const std::byte> from, DeviceBuffer& to, std::uint64_t offset) const;
  void copy_out(const DeviceBuffer& from, std::uint64_t offset, std::span<std::byte> to) const;

  // A float32 tensor on the device that shares the buffer: whoever changes one changes the other.
  at::Tensor view(const DeviceBuffer& buffer, std::uint64_t offset, std::span<const std::int64_t> shape) const;

  // The buffer as memory of the host, where both have one: on the CPU. Error{bug} elsewhere.
  std::span<std::byte> on_host(DeviceBuffer& buffer) const;
  std::span<const std::byte> on_host(const DeviceBuffer& buffer) const;

 private:
  Budget* memory_;
};

}  // namespace strata
