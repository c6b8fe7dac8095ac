// The search for an FP8 scale. An E4M3 scale moves only the place of the steps within an octave and how far
// the range reaches down: a few candidates see all of it.
#pragma once

#include <cstdint>
#include <span>

#include "formats/number_format.h"

namespace strata {

// Rows of float32 values that share a scale, `stride` apart.
struct ValueBlock {
  const float* values;
  std::int64_t rows, cols, stride;
};

// The bfloat16 scale of least squared error, `plain` where none is better. Errors of a column are weighed by
// context.column_weight [cols].
float searched_fp8_scale(const ValueBlock& block, const EncodeContext& context, float plain);

// The same for whole matrices that share a scale; parallel inside.
float searched_fp8_scale(std::span<const WeightView> group, const EncodeContext& context, float plain);

}  // namespace strata
