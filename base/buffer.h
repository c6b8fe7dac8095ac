// Large blocks of memory that go back to the system when they are freed. Page-aligned, move-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace strata {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::uint64_t bytes);  // zeroed; Error{budget} when the system refuses
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::uint64_t size() const { return size_; }
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Makes room for at least `bytes`; contents are lost when it grows. Pages that were touched before stay,
  // so that a buffer reused for every layer costs its page faults once.
  void grow(std::uint64_t bytes);

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace strata
