// Scales that are plain floats (those of integers and FP8): their dtype, and their value by each rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/kernels/arithmetic.h"
#include "formats/number_format.h"

namespace strata {

// The dtype of the weight for compressed-tensors, BF16 by our own rules.
Dtype plain_scale_dtype(Dtype source, ScaleRule rule);

// The arithmetic in which a rule divides: compressed-tensors computes in the dtype of the weight.
Arithmetic arithmetic_of(Dtype source, ScaleRule rule);

// x rounded to what is stored; what rounds to zero becomes the epsilon that compressed-tensors takes.
float storable_scale(float x, Dtype source, ScaleRule rule);

// Scales that are storable in `dtype`, little endian.
void store_scales(std::span<const float> scales, Dtype dtype, std::byte* out);

}  // namespace strata
