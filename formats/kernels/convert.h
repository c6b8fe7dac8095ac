// Between float types, and the largest magnitude, over raw pointers. Not parallel.
#pragma once

#include <cstdint>

namespace strata::kernels {

void widen_bf16(const std::uint16_t* in, std::int64_t count, float* out);
void widen_f16(const std::uint16_t* in, std::int64_t count, float* out);
void narrow_bf16(const float* in, std::int64_t count, std::uint16_t* out);  // nearest even

// The largest bit pattern without its sign: order of magnitude, with infinity and NaN on top. 0 for count 0.
std::uint32_t magnitude_bits_f32(const float* in, std::int64_t count);
std::uint32_t magnitude_bits_16(const std::uint16_t* in, std::int64_t count);

// amax[g] = largest magnitude of the g-th group. Values are finite.
void group_amax(const float* in, std::int64_t groups, std::int64_t group, float* amax);

}  // namespace strata::kernels
