#include "tests/support/naive_fp8.h"

#include <cmath>

#include "tests/support/naive_formats.h"

namespace strata::test {
namespace {

float scale_of(float peak, const NaiveFp8& format) {
  const float scale = naive_round(naive_round(peak / 448.0f, format.arithmetic), format.scale);
  if (scale != 0) return scale;
  return format.arithmetic == NaiveType::bf16  ? 0.0078125f
         : format.arithmetic == NaiveType::f16 ? 0.0009765625f
                                               : 0x1p-23f;
}

}  // namespace

NaiveFp8Encoding naive_fp8_blocks(std::span<const float> w, const NaiveFp8& format) {
  NaiveFp8Encoding result;
  result.codes.resize(w.size());
  result.decoded.resize(w.size());
  const std::int64_t rows = static_cast<std::int64_t>(w.size()) / format.cols;
  for (std::int64_t top = 0; top < rows; top += format.high) {
    for (std::int64_t left = 0; left < format.cols; left += format.wide) {
      std::vector<std::size_t> members;
      float peak = 0;
      for (std::int64_t row = top; row < top + format.high; ++row)
        for (std::int64_t col = left; col < left + format.wide; ++col)
          members.push_back(static_cast<std::size_t>(row * format.cols + col));
      for (const std::size_t i : members) peak = std::fmax(peak, std::fabs(w[i]));
      const float scale = scale_of(peak, format);
      result.scales.push_back(scale);
      for (const std::size_t i : members) {
        float quotient = naive_round(w[i] / scale, format.arithmetic);
        if (quotient == 0 && format.drops_minus_zero) quotient = 0;
        result.codes[i] = naive_e4m3(quotient);
        result.decoded[i] = naive_e4m3_value(result.codes[i]) * scale;
      }
    }
  }
  return result;
}

NaiveFp8Encoding naive_fp8_with(std::span<const float> w, float scale) {
  NaiveFp8Encoding result;
  for (const float v : w) {
    result.codes.push_back(naive_e4m3(v / scale));
    result.decoded.push_back(naive_e4m3_value(result.codes.back()) * scale);
  }
  return result;
}

}  // namespace strata::test
