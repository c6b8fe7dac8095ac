// A large block of memory that a Budget knows of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/budget.h"
#include "base/buffer.h"

namespace strata {

// A Buffer with the Lease for it. Move-only. The budget outlives it.
class LeasedBuffer {
 public:
  LeasedBuffer(Budget& budget, std::string holder) : budget_(&budget), holder_(std::move(holder)) {}
  LeasedBuffer(Budget& budget, std::string holder, std::uint64_t bytes) : LeasedBuffer(budget, std::move(holder)) {
    grow(bytes);
  }

  // Room for at least `bytes`; contents are lost when it grows. Error{budget} when the budget refuses.
  void grow(std::uint64_t bytes);

  std::byte* data() { return buffer_.data(); }
  const std::byte* data() const { return buffer_.data(); }
  std::uint64_t size() const { return buffer_.size(); }
  std::span<std::byte> bytes() { return buffer_.bytes(); }
  std::span<const std::byte> bytes() const { return buffer_.bytes(); }
  std::span<float> floats() { return {reinterpret_cast<float*>(data()), size() / sizeof(float)}; }

 private:
  Budget* budget_;
  std::string holder_;
  Lease lease_;  // given back after the memory
  Buffer buffer_;
};

}  // namespace strata
