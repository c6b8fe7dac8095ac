// FP8 E4M3 with one scale, over raw pointers. Not parallel. Values are finite.
#pragma once

#include <cstdint>

namespace strata::kernels {

// codes[i] = e4m3(x[i] / scale), saturating.
void fp8_encode(const float* x, std::int64_t count, float scale, std::uint8_t* codes);

// out[i] = e4m3 value * scale; codes 0x7f and 0xff give NaN.
void fp8_decode(const std::uint8_t* codes, float scale, std::int64_t count, float* out);

// What an FP8 matrix product sees of one token: x quantized with the scale of its largest magnitude.
void fp8_fake_quantize(float* x, std::int64_t count);

}  // namespace strata::kernels
