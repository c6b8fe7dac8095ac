// Signed 4-bit integers in groups of columns, stored as code + 8, over raw pointers. Not parallel.
#pragma once

#include <cstdint>

#include "formats/kernels/arithmetic.h"

namespace strata::kernels {

// x [count], scales one float a group of `group` -> packed [count / 2], code = clamp(round(x / scale + zero)).
// `group` is even and divides 512 and count. zeros, when there are any, are integers, one a group.
void int4_encode(const float* x, std::int64_t count, std::int64_t group, const float* scales, std::uint8_t* packed,
                 const float* zeros = nullptr, Arithmetic arithmetic = Arithmetic::f32);

// out = (code - zero) * scale.
void int4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, std::int64_t group, float* out,
                 const float* zeros = nullptr);

// Smallest and largest value of each group, and of 0: least <= 0 <= most. Values are finite.
void group_extremes(const float* x, std::int64_t groups, std::int64_t group, float* least, float* most);

}  // namespace strata::kernels
