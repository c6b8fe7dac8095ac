// Signed 4-bit integers in groups of 128 columns, stored as code + 8, over raw pointers. Not parallel.
#pragma once

#include <cstdint>

namespace strata::kernels {

inline constexpr std::int64_t int4_group = 128;

// x [count], scales one float a group of `group` -> packed [count / 2]. `group` is even and divides count.
void int4_encode(const float* x, std::int64_t count, std::int64_t group, const float* scales, std::uint8_t* packed);

void int4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, std::int64_t group, float* out);

}  // namespace strata::kernels
