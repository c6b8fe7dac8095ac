#include "tests/support/naive_int.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/naive_formats.h"

namespace strata::test {
namespace {

float naive_epsilon(NaiveType type) {
  return type == NaiveType::bf16 ? 0.0078125f : type == NaiveType::f16 ? 0.0009765625f : 0x1p-23f;
}

}  // namespace

float naive_f16(float x) {
  if (x == 0 || std::isinf(x) || std::isnan(x)) return x;
  int exponent = 0;
  std::frexp(static_cast<double>(x), &exponent);
  const double step = std::ldexp(1.0, std::max(exponent - 1, -14) - 10);
  const double value = naive_whole(static_cast<double>(x) / step) * step;
  if (std::fabs(value) > 65504) return std::copysign(std::numeric_limits<float>::infinity(), x);
  return std::copysign(static_cast<float>(value), x);
}

float naive_round(float x, NaiveType type) {
  return type == NaiveType::bf16 ? naive_bf16(x) : type == NaiveType::f16 ? naive_f16(x) : x;
}

double naive_whole(double x) {
  const double down = std::floor(x), over = x - down;
  if (over > 0.5 || (over == 0.5 && std::fmod(down, 2) != 0)) return down + 1;
  return down;
}

NaiveIntEncoding naive_int(std::span<const float> w, const NaiveInt& format) {
  NaiveIntEncoding result;
  const float low = format.bits == 4 ? -8.0f : -128.0f, high = -low - 1;
  const auto round = [&](float x) { return naive_round(x, format.arithmetic); };
  const auto width = static_cast<std::size_t>(format.group);
  for (std::size_t first = 0; first < w.size(); first += width) {
    float least = 0, most = 0;
    for (const float v : w.subspan(first, width)) {
      if (v < least) least = v;
      if (v > most) most = v;
    }
    const float peak = -least > most ? -least : most;
    const float wanted = format.zero_point ? round(round(most - least) / 15.0f) : round(peak / ((high - low) / 2));
    float scale = naive_round(wanted, format.scale);
    if (scale == 0) scale = naive_epsilon(format.arithmetic);
    float zero = 0;
    if (format.zero_point) {
      // compressed-tensors finds the zero point before it replaces a scale of 0, whose 0 / 0 becomes 0.
      const bool theirs = format.arithmetic == format.scale;
      zero = round(low - round(least / (theirs ? wanted : scale)));
      zero = std::isnan(zero) ? 0.0f : static_cast<float>(naive_whole(std::fmin(std::fmax(zero, low), high)));
      result.zeros.push_back(static_cast<int>(zero));
    }
    result.scales.push_back(scale);
    for (const float v : w.subspan(first, width)) {
      const float quotient = round(round(v / scale) + zero);
      const double code = naive_whole(static_cast<double>(std::fmin(std::fmax(quotient, low), high)));
      result.codes.push_back(static_cast<int>(code));
      result.decoded.push_back((static_cast<float>(code) - zero) * scale);
    }
  }
  return result;
}

std::vector<std::uint32_t> naive_packed(std::span<const int> codes, std::int64_t cols, int bits) {
  std::vector<std::uint32_t> words;
  for (std::size_t row = 0; row < codes.size(); row += static_cast<std::size_t>(cols)) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(cols); ++i) {
      for (int bit = 0; bit < bits; ++bit) {
        const std::size_t at = i * static_cast<std::size_t>(bits) + static_cast<std::size_t>(bit);
        if (at % 32 == 0) words.push_back(0);
        const int code = codes[row + i] + (1 << (bits - 1));
        if ((code >> bit & 1) != 0) words.back() |= 1u << (at % 32);
      }
    }
  }
  return words;
}

std::vector<float> naive_int8_input(std::span<const float> x, std::int64_t cols, float steps) {
  std::vector<float> out;
  const auto width = static_cast<std::size_t>(cols);
  for (std::size_t row = 0; row < x.size(); row += width) {
    float peak = 0;
    for (const float v : x.subspan(row, width)) peak = std::fmax(peak, std::fabs(v));
    float scale = peak / steps;
    if (scale == 0) scale = naive_epsilon(NaiveType::f32);
    for (const float v : x.subspan(row, width)) {
      const float quotient = v / scale;
      const auto whole =
          static_cast<float>(naive_whole(static_cast<double>(std::fmin(std::fmax(quotient, -128.0f), 127.0f))));
      // A negative value that rounds to zero stays negative; -0 itself does not.
      const float code = whole == 0 && quotient < 0 ? -0.0f : whole == 0 ? 0.0f : whole;
      out.push_back(code * scale);
    }
  }
  return out;
}

}  // namespace strata::test
