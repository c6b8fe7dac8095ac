// Float32 values cut into planes of bytes: all lowest bytes, then all second ones, ... The highest plane is the
// exponent alone (the sign moves to the plane below, where it takes the place of the lowest exponent bit), because
// of activations the exponent is the one byte with little information.
//   plane 0: mantissa bits 0-7   1: mantissa bits 8-15   2: sign, mantissa bits 16-22   3: exponent
// Values that are BF16 exactly have zeros in planes 0 and 1; only the other two are made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace strata {

// Whether the low 16 bits of every value are zero.
bool exactly_bf16(std::span<const float> values);

// `planes` point to values.size() bytes each.
void split_planes(std::span<const float> values, std::byte* const (&planes)[4]);
void merge_planes(const std::byte* const (&planes)[4], std::span<float> values);

// Of exact BF16: planes 2 and 3 only.
void split_bf16_planes(std::span<const float> values, std::byte* const (&planes)[2]);
void merge_bf16_planes(const std::byte* const (&planes)[2], std::span<float> values);

// The upper 16 bits of each value, little endian, and back. `halves` holds two bytes a value.
void take_upper_halves(std::span<const float> values, std::byte* halves);
void put_upper_halves(const std::byte* halves, std::span<float> values);

}  // namespace strata
