#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/device/device.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "base/error.h"

namespace strata {

std::string_view device_kind_name(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
  }
  fail(Fault::bug, "no kind of device has the number {}", static_cast<int>(kind));
}

DeviceBuffer Device::take(std::string holder, std::uint64_t bytes) const {
  DeviceBuffer buffer(LeasedBuffer(*memory_, std::move(holder)));
  if (bytes > 0) buffer.grow(bytes);
  return buffer;
}

std::span<std::byte> Device::on_host(DeviceBuffer& buffer) const { return buffer.bytes_.bytes(); }
std::span<const std::byte> Device::on_host(const DeviceBuffer& buffer) const { return buffer.bytes_.bytes(); }

void Device::write(DeviceBuffer& to, std::uint64_t offset, std::uint64_t bytes,
                   const std::function<void(std::span<std::byte>)>& fill) const {
  fill(on_host(to).subspan(offset, bytes));
}

void Device::copy_in(std::span<const std::byte> from, DeviceBuffer& to, std::uint64_t offset) const {
  std::ranges::copy(from, on_host(to).subspan(offset, from.size()).begin());
}

void Device::copy_out(const DeviceBuffer& from, std::uint64_t offset, std::span<std::byte> to) const {
  std::ranges::copy(on_host(from).subspan(offset, to.size()), to.begin());
}

at::Tensor Device::view(const DeviceBuffer& buffer, std::uint64_t offset, std::span<const std::int64_t> shape) const {
  // from_blob takes a mutable pointer; who shares the buffer to change it holds it as one that may be changed.
  auto* const data = const_cast<std::byte*>(on_host(buffer).data() + offset);
  return at::from_blob(data, at::IntArrayRef(shape.data(), shape.size()), at::kFloat);
}

}  // namespace strata
