// Signed 8-bit integers, stored as they are or as code + 128, over raw pointers. Not parallel.
#pragma once

#include <cstdint>

#include "formats/kernels/arithmetic.h"

namespace strata::kernels {

enum class Int8Bytes : std::uint8_t { offset, complement };  // code + 128, or two's complement

// codes[i] = clamp(round(x[i] / scale)), `count` values with one scale.
void int8_encode(const float* x, std::int64_t count, float scale, Int8Bytes bytes, Arithmetic arithmetic,
                 std::uint8_t* codes);

void int8_decode(const std::uint8_t* codes, std::int64_t count, float scale, Int8Bytes bytes, float* out);

// What an INT8 matrix product sees of one token: x quantized with the scale that is its largest magnitude over
// `steps`, 127 or 127.5.
void int8_fake_quantize(float* x, std::int64_t count, float steps);

}  // namespace strata::kernels
