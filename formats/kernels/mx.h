// Microscaling (OCP MX) over raw pointers: 32 columns of a row share a power of two, stored as one byte of
// E8M0 (2^(byte - 127)). Not parallel; the caller cuts a matrix into rows. Every CPU gives the same bytes.
#pragma once

#include <cstdint>

namespace strata::kernels {

inline constexpr std::int64_t mx_group = 32;

enum class MxElement : std::uint8_t { e2m1, e2m3, e3m2, e4m3 };
enum class MxSource : std::uint8_t { f32, bf16, f16 };

// Where the shared exponent comes from. The largest magnitude m * 2^E (1 <= m < 2) of a group gives E minus
// the exponent of the largest element, one more from the m on that would round to the next power of two: 1.75
// (E2M1 and E4M3), 1.9375 (E2M3), 1.875 (E3M2).
enum class MxRule : std::uint8_t {
  minmax,              // that exponent, as a byte from 1 to 254
  search,              // of it and its two neighbours the one with the least squared error
  compressed_tensors,  // that exponent by the arithmetic of the source's type, down to byte 0
};

// The same for inputs.
enum class MxInputRule : std::uint8_t {
  compressed_tensors,  // as above
  upward,              // the least exponent with which the largest magnitude does not saturate
};

// Packed codes of one group: two codes of 4 bits a byte, four of 6 bits in three bytes, the first lowest.
constexpr std::int64_t mx_code_bytes(MxElement element) {
  return element == MxElement::e2m1 ? 16 : element == MxElement::e4m3 ? 32 : 24;
}

struct MxWeight {
  const void* values;  // [count], finite; count is a multiple of 32
  MxSource source;
  std::int64_t count;
  const float* column_weight;  // [count], how much squared errors count in a search; nullptr: all alike
};

void mx_encode(const MxWeight& weight, MxElement element, MxRule rule, std::uint8_t* codes, std::uint8_t* scales);

// Exact products. No scale is 255, which is NaN.
void mx_decode(const std::uint8_t* codes, const std::uint8_t* scales, MxElement element, std::int64_t count,
               float* out);

// What an MX matrix product sees of x: every group quantized and dequantized.
void mx_fake_quantize(float* x, std::int64_t count, MxElement element, MxInputRule rule);

}  // namespace strata::kernels
