// Dense weights: conversions and reductions that every encoder shares. Parallel over rows, results
// independent of the number of threads.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "formats/number_format.h"

namespace strata {

// Largest |w|. Error{input} naming `tensor`, row and column at the first NaN or infinity (row-major order).
float finite_amax(const WeightView& weight, std::string_view tensor);

// Whether every element is finite.
bool all_finite(const WeightView& weight);

// The same of a tensor's bytes; true for types that are no plain floats (F32, BF16, F16).
bool all_finite(Dtype dtype, std::span<const std::byte> bytes);

// Largest |x| of a float32 buffer; NaN if any is NaN.
float amax(std::span<const float> values);

// Any float dtype of safetensors with at least 16 bits (f16, bf16, f32, f64) to float32.
void widen(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out);

void round_to_bf16(std::span<float> values);  // in place, nearest even
void to_bf16(std::span<const float> values, std::span<std::byte> out);

EncodeError encode_error(const WeightView& weight, std::span<const float> decoded);

}  // namespace strata
