// Small floats, one value at a time: the rules that the vector kernels repeat. Round to nearest, ties to
// even, saturating. constexpr, so that tables can be made from them.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace strata {

inline constexpr float e4m3_max = 448.0f;
inline constexpr float e2m1_max = 6.0f;
inline constexpr float e2m3_max = 7.5f;
inline constexpr float e3m2_max = 28.0f;

// A float with `mantissa_bits` and a smallest normal of 2^min_exponent, no infinities, as the code of a
// magnitude in [0, its maximum]. The caller has saturated it.
constexpr std::uint32_t minifloat_code(float magnitude, int mantissa_bits, int min_exponent) {
  const int shift = 23 - mantissa_bits;
  const auto bits = std::bit_cast<std::uint32_t>(magnitude);
  const auto smallest_normal = static_cast<std::uint32_t>(127 + min_exponent) << 23;
  if (bits < smallest_normal) {
    // One unit in the last place of this number is the step of our subnormals: the addition rounds.
    const auto magic = static_cast<std::uint32_t>(127 + min_exponent + shift) << 23;
    return std::bit_cast<std::uint32_t>(magnitude + std::bit_cast<float>(magic)) - magic;
  }
  const std::uint32_t half = (1u << (shift - 1)) - 1;
  const std::uint32_t rounded = bits + half + ((bits >> shift) & 1u);
  return (rounded >> shift) - (static_cast<std::uint32_t>(127 + min_exponent - 1) << mantissa_bits);
}

// FP8 E4M3 (float8_e4m3fn): NaN gives 0x7f, larger values saturate at 448, the sign of zero is kept.
constexpr std::uint8_t encode_e4m3(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 24 & 0x80u;
  const float magnitude = std::bit_cast<float>(bits & 0x7fffffffu);
  if (magnitude != magnitude) return 0x7f;
  return static_cast<std::uint8_t>(sign | minifloat_code(magnitude < e4m3_max ? magnitude : e4m3_max, 3, -6));
}

constexpr float decode_e4m3(std::uint8_t code) {
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80u) << 24;
  const std::uint32_t magnitude = code & 0x7fu;
  if (magnitude == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  const float value =
      magnitude < 8 ? static_cast<float>(magnitude) * 0x1p-9f : std::bit_cast<float>((magnitude << 20) + (120u << 23));
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}

// FP4 E2M1: 0, .5, 1, 1.5, 2, 3, 4, 6. The sign of zero is kept. NaN gives code 7 or 15.
constexpr std::uint8_t encode_e2m1(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 28 & 8u;
  const float magnitude = std::bit_cast<float>(bits & 0x7fffffffu);
  return static_cast<std::uint8_t>(sign | minifloat_code(magnitude < e2m1_max ? magnitude : e2m1_max, 1, 0));
}

constexpr float decode_e2m1(std::uint8_t code) {
  constexpr float magnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  return (code & 8u) != 0 ? -magnitudes[code & 7u] : magnitudes[code & 7u];
}

// FP6, the sign in bit 5, that of zero too. NaN gives the largest magnitude.
constexpr std::uint8_t encode_fp6(float x, float max, int mantissa_bits, int min_exponent) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float magnitude = std::bit_cast<float>(bits & 0x7fffffffu);
  return static_cast<std::uint8_t>((bits >> 26 & 0x20u) |
                                   minifloat_code(magnitude < max ? magnitude : max, mantissa_bits, min_exponent));
}

constexpr float decode_fp6(std::uint8_t code, int mantissa_bits, int min_exponent) {
  const std::uint32_t magnitude = code & 0x1fu, exponent = magnitude >> mantissa_bits;
  const std::uint32_t fraction = magnitude - (exponent << mantissa_bits);
  const float step = std::bit_cast<float>(static_cast<std::uint32_t>(127 + min_exponent - mantissa_bits) << 23);
  const float value = exponent == 0 ? static_cast<float>(fraction) * step
                                    : static_cast<float>((1u << mantissa_bits) + fraction) * step *
                                          static_cast<float>(1u << (exponent - 1));
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | static_cast<std::uint32_t>(code & 0x20u) << 26);
}

constexpr std::uint8_t encode_e2m3(float x) { return encode_fp6(x, e2m3_max, 3, 0); }
constexpr float decode_e2m3(std::uint8_t code) { return decode_fp6(code, 3, 0); }
constexpr std::uint8_t encode_e3m2(float x) { return encode_fp6(x, e3m2_max, 2, -2); }
constexpr float decode_e3m2(std::uint8_t code) { return decode_fp6(code, 2, -2); }

// E8M0: 2^(byte - 127), of which 2^-127 is subnormal in float32. 255 is NaN.
constexpr float decode_e8m0(std::uint8_t byte) {
  if (byte == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::bit_cast<float>(byte == 0 ? 0x00400000u : static_cast<std::uint32_t>(byte) << 23);
}

// Nearest even; NaN stays NaN, values beyond the range become infinite.
constexpr std::uint16_t to_bf16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

constexpr float from_bf16_bits(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

constexpr float round_to_bf16(float x) { return from_bf16_bits(to_bf16_bits(x)); }

constexpr float from_f16_bits(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  std::uint32_t bits = 0;
  if (magnitude >= 0x7c00u)
    bits = 0x7f800000u | (magnitude & 0x3ffu) << 13;
  else if (magnitude >= 0x400u)
    bits = (magnitude << 13) + (112u << 23);
  else
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  return std::bit_cast<float>(bits | sign);
}

}  // namespace strata
