// The arithmetic of a reference that computes in the weight's own type: float32, with every result rounded
// to bfloat16 or float16.
#pragma once

#include <bit>
#include <cstdint>

#include "formats/kernels/minifloat.h"

namespace strata {

enum class Arithmetic : std::uint8_t { f32, bf16, f16 };

// Nearest even; NaN stays NaN, values that round to 65536 and beyond become infinite.
constexpr std::uint16_t to_f16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= std::bit_cast<std::uint32_t>(65520.0f)) return static_cast<std::uint16_t>(sign | 0x7c00u);
  return static_cast<std::uint16_t>(sign | minifloat_code(std::bit_cast<float>(magnitude), 10, -14));
}

constexpr float rounded(float x, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::bf16) return round_to_bf16(x);
  if (arithmetic == Arithmetic::f16) return from_f16_bits(to_f16_bits(x));
  return x;
}

// The distance from 1 to the next number.
constexpr float epsilon(Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::bf16) return 0x1p-7f;
  if (arithmetic == Arithmetic::f16) return 0x1p-10f;
  return 0x1p-23f;
}

}  // namespace strata
