// NVFP4 over raw pointers: groups of 16 columns, an E4M3 scale a group, one float32 divisor a tensor.
// Not parallel; the caller cuts a matrix into rows. Every CPU gives the same bytes.
#pragma once

#include <cstdint>

#include "formats/kernels/arithmetic.h"

namespace strata::kernels {

inline constexpr std::int64_t nvfp4_group = 16;

// The three encoders: x [count], count a multiple of 16 -> packed [count / 2], scales [count / 16]. They
// return the largest magnitude in x.

// Scales from the largest magnitude of the group.
float nvfp4_encode(const float* x, std::int64_t count, float global_scale, std::uint8_t* packed, std::uint8_t* scales);

// Of the scales from .6 to 1.7 times that one, the one with the least squared error. column_weight [count]
// weighs the errors; nullptr: all alike.
float nvfp4_search(const float* x, std::int64_t count, float global_scale, const float* column_weight,
                   std::uint8_t* packed, std::uint8_t* scales);

// As compressed-tensors, which divides by 6 in the arithmetic of the weight's type, takes 0.125 for a scale that
// rounds to zero and counts -0 as 0.
float nvfp4_encode_as_compressed_tensors(const float* x, std::int64_t count, float global_scale, Arithmetic arithmetic,
                                         std::uint8_t* packed, std::uint8_t* scales);

// scales holds the group scales already divided by the global scale, one float a group.
void nvfp4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, float* out);

// What an FP4 matrix product sees of x: every group quantized with a scale of its own and dequantized.
void nvfp4_fake_quantize(float* x, std::int64_t count, float global_scale);

}  // namespace strata::kernels
