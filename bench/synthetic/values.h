// Made-up weights: every value follows from the seed, the tensor's name and its own position, so that any
// number of threads and any cut into pieces gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "formats/tensor.h"

namespace strata::synthetic {

// How large the values of a tensor are. A matrix [rows, cols] has normals of deviation 1 / sqrt(cols), each row
// times a lognormal factor of its own, and one value in 4096 is six times as large: what makes quantizing weights
// hard. A vector has normals of deviation 0.1 around `center`.
struct Spread {
  std::int64_t cols = 0;  // 0: a vector
  float center = 0;
};

class Values {
 public:
  Values();
  ~Values();

  // Elements [first, first + out.size() / bytes of an element) of the tensor. `first` is even; dtype is f32, bf16
  // or f16. Thread-safe.
  void fill(std::uint64_t tensor_key, const Spread& spread, std::uint64_t first, Dtype dtype,
            std::span<std::byte> out) const;

 private:
  struct Table;
  std::unique_ptr<const Table> table_;
};

std::uint64_t tensor_key(std::uint64_t seed, std::string_view name);

// A number below `limit` for each counter; small ones are much more frequent, as token ids are in text.
std::int32_t skewed_id(std::uint64_t key, std::uint64_t counter, std::int32_t limit);

}  // namespace strata::synthetic
