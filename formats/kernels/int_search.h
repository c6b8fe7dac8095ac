// The scale of integers that has the least squared error, over raw pointers. Not parallel; the same answer
// on every CPU.
#pragma once

#include <cstdint>

namespace strata::kernels {

struct IntScale {
  float scale = 0;  // a bfloat16 value
  float zero = 0;   // an integer
};

// `count` values that share a scale, errors weighed by column_weight [count] when it is not null. `plain` is
// what the rule without search takes; it is returned when nothing is better.
// Symmetric: the scale is negative where that puts the largest magnitude on the lowest code.
IntScale search_int(const float* x, const float* column_weight, std::int64_t count, int bits, IntScale plain);

// 4 bits with a zero point.
IntScale search_int4_zero(const float* x, const float* column_weight, std::int64_t count, IntScale plain);

}  // namespace strata::kernels
