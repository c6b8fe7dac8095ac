// FP4 in groups of 32 columns with a power of two each, as DeepSeek-V4 and gpt-oss store it.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "formats/tensor.h"

namespace strata {

// packed [rows, cols / 2], low half of a byte first; scales [rows, cols / 32] as float32.
void decode_mxfp4(std::span<const std::byte> packed, std::span<const float> scales, std::int64_t rows,
                  std::int64_t cols, std::span<float> out);

// gpt-oss: `blocks` U8 [experts, out, in / 32, 16] and `scales` U8 [experts, out, in / 32] of one tensor give
// [experts, out, in]. Error{input} naming `tensor` for other shapes and for a scale that is NaN.
void decode_gpt_oss(std::string_view tensor, const Shape& blocks_shape, std::span<const std::byte> blocks,
                    const Shape& scales_shape, std::span<const std::byte> scales, std::span<float> out);

}  // namespace strata
