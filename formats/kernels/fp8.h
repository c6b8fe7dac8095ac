// FP8 E4M3 with one scale, over raw pointers. Not parallel. Values are finite.
#pragma once

#include <cstdint>

#include "formats/kernels/arithmetic.h"

namespace strata::kernels {

// codes[i] = e4m3(x[i] / scale), saturating.
void fp8_encode(const float* x, std::int64_t count, float scale, std::uint8_t* codes);

// The same in the arithmetic of compressed-tensors, which adds a zero point: -0 becomes 0.
void fp8_encode_in(Arithmetic arithmetic, const float* x, std::int64_t count, float scale, std::uint8_t* codes);

// out[i] = e4m3 value * scale; codes 0x7f and 0xff give NaN.
void fp8_decode(const std::uint8_t* codes, float scale, std::int64_t count, float* out);

// What an FP8 matrix product sees of one token: x quantized with the scale of its largest magnitude, which is at
// least `least_scale`. With 0 an epsilon stands for the scale of nothing but zeros.
void fp8_fake_quantize(float* x, std::int64_t count, float least_scale);

// The same with a scale that calibration gave.
void fp8_fake_quantize_static(float* x, std::int64_t count, float scale);

// sum of column_weight * (x - x')^2, column_weight not null or all alike. The same bits on every CPU.
double fp8_error(const float* x, const float* column_weight, std::int64_t count, float scale);

}  // namespace strata::kernels
