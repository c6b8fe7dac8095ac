// FP8 weights written again, slowly and obviously. Shares no code with formats/.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/support/naive_int.h"

namespace strata::test {

struct NaiveFp8 {
  std::int64_t cols = 0;
  std::int64_t high = 1, wide = 0;  // rows and columns that share a scale
  NaiveType arithmetic = NaiveType::f32, scale = NaiveType::bf16;
  bool drops_minus_zero = false;  // compressed-tensors adds a zero point
};

struct NaiveFp8Encoding {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;  // in order of their blocks, row-major
  std::vector<float> decoded;
};

NaiveFp8Encoding naive_fp8_blocks(std::span<const float> w, const NaiveFp8& format);

// Codes and decoded values with a scale that is given.
NaiveFp8Encoding naive_fp8_with(std::span<const float> w, float scale);

}  // namespace strata::test
