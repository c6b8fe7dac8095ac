#include "tests/support/naive_formats.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace strata::test {
namespace {

float largest(std::span<const float> values) {
  float most = 0;
  for (const float v : values)
    if (std::fabs(v) > most) most = std::fabs(v);
  return most;
}

void append_bf16(std::vector<std::uint8_t>& bytes, float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  bytes.push_back(static_cast<std::uint8_t>(bits >> 16));
  bytes.push_back(static_cast<std::uint8_t>(bits >> 24));
}

std::vector<std::uint8_t> pairs(const std::vector<std::uint8_t>& codes) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < codes.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(codes[i] + 16 * codes[i + 1]));
  return bytes;
}

float scale_or_epsilon(float scale) { return scale == 0 ? std::numeric_limits<float>::epsilon() : scale; }

}  // namespace

std::vector<double> e2m1_magnitudes() { return {0, 0.5, 1, 1.5, 2, 3, 4, 6}; }

std::vector<double> e4m3_magnitudes() {
  std::vector<double> values;
  for (int code = 0; code < 127; ++code) {
    const int exponent = code / 8, mantissa = code % 8;
    values.push_back(exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10));
  }
  return values;
}

std::uint8_t nearest(const std::vector<double>& magnitudes, double magnitude) {
  std::size_t code = 0;
  while (code + 1 < magnitudes.size()) {
    const double middle = (magnitudes[code] + magnitudes[code + 1]) / 2;
    const bool next_is_even = (code + 1) % 2 == 0;
    if (magnitude < middle || (magnitude == middle && !next_is_even)) break;
    ++code;
  }
  return static_cast<std::uint8_t>(code);
}

std::uint8_t naive_e4m3(float x) {
  static const std::vector<double> magnitudes = e4m3_magnitudes();
  if (std::isnan(x)) return 0x7f;
  return static_cast<std::uint8_t>(nearest(magnitudes, std::fabs(static_cast<double>(x))) +
                                   (std::signbit(x) ? 128 : 0));
}

std::uint8_t naive_e2m1(float x) {
  static const std::vector<double> magnitudes = e2m1_magnitudes();
  return static_cast<std::uint8_t>(nearest(magnitudes, std::fabs(static_cast<double>(x))) + (std::signbit(x) ? 8 : 0));
}

float naive_e4m3_value(std::uint8_t code) {
  static const std::vector<double> magnitudes = e4m3_magnitudes();
  if (code % 128 == 127) return std::numeric_limits<float>::quiet_NaN();
  const auto value = static_cast<float>(magnitudes[code % 128]);
  return code >= 128 ? -value : value;
}

float naive_e2m1_value(std::uint8_t code) {
  static const std::vector<double> magnitudes = e2m1_magnitudes();
  const auto value = static_cast<float>(magnitudes[code % 8]);
  return code >= 8 ? -value : value;
}

// The two neighbours that have 16 zero bits, and of them the nearer or even one.
float naive_bf16(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, 4);
  const std::uint32_t low = bits & 0xffffu, down = bits - low;
  const bool up = low > 0x8000u || (low == 0x8000u && (down & 0x10000u) != 0);
  bits = up ? down + 0x10000u : down;
  std::memcpy(&x, &bits, 4);
  return x;
}

float naive_f16_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  double value = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  if (exponent == 31) value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  return static_cast<float>((bits & 0x8000) != 0 ? -value : value);
}

NaiveEncoding naive_nvfp4(std::span<const float> w, std::int64_t /*cols*/, float global_scale) {
  NaiveEncoding result;
  std::vector<std::uint8_t> codes;
  for (std::size_t g = 0; g < w.size(); g += 16) {
    const float peak = largest(w.subspan(g, 16));
    const float wanted = peak / 6.0f * global_scale;
    std::uint8_t scale = naive_e4m3(wanted);
    if (peak == 0)
      scale = 0x20;
    else if (scale == 0)
      scale = 1;
    const float effective = naive_e4m3_value(scale) / global_scale;
    result.scales.push_back(scale);
    for (std::size_t i = g; i < g + 16; ++i) {
      codes.push_back(naive_e2m1(w[i] / effective));
      result.decoded.push_back(naive_e2m1_value(codes.back()) * effective);
    }
  }
  result.codes = pairs(codes);
  return result;
}

NaiveEncoding naive_w4a16(std::span<const float> w, std::int64_t /*cols*/) {
  NaiveEncoding result;
  std::vector<std::uint8_t> codes;
  for (std::size_t g = 0; g < w.size(); g += 128) {
    const float scale = scale_or_epsilon(naive_bf16(largest(w.subspan(g, 128)) / 7.5f));
    append_bf16(result.scales, scale);
    for (std::size_t i = g; i < g + 128; ++i) {
      const double quotient = static_cast<double>(w[i] / scale);
      double q = std::floor(quotient);
      const double over = quotient - q;
      if (over > 0.5 || (over == 0.5 && std::fmod(q, 2) != 0)) q += 1;
      if (q > 7) q = 7;
      if (q < -8) q = -8;
      codes.push_back(static_cast<std::uint8_t>(q + 8));
      result.decoded.push_back(static_cast<float>(codes.back() - 8) * scale);
    }
  }
  result.codes = pairs(codes);
  return result;
}

NaiveEncoding naive_fp8(std::span<const float> w, std::int64_t cols) {
  NaiveEncoding result;
  const auto width = static_cast<std::size_t>(cols);
  for (std::size_t row = 0; row < w.size(); row += width) {
    const float scale = scale_or_epsilon(naive_bf16(largest(w.subspan(row, width)) / 448.0f));
    append_bf16(result.scales, scale);
    for (std::size_t i = row; i < row + width; ++i) {
      result.codes.push_back(naive_e4m3(w[i] / scale));
      result.decoded.push_back(naive_e4m3_value(result.codes.back()) * scale);
    }
  }
  return result;
}

std::vector<float> naive_nvfp4_input(std::span<const float> x, std::int64_t /*cols*/, float global_scale) {
  std::vector<float> out;
  for (std::size_t g = 0; g < x.size(); g += 16) {
    float scale = naive_e4m3_value(naive_e4m3(largest(x.subspan(g, 16)) / 6.0f * global_scale));
    if (scale == 0) scale = 0.125f;
    const float effective = scale / global_scale;
    for (std::size_t i = g; i < g + 16; ++i) {
      const float quotient = x[i] / effective;
      out.push_back(naive_e2m1_value(naive_e2m1(quotient == 0 ? 0.0f : quotient)) * effective);
    }
  }
  return out;
}

std::vector<float> naive_fp8_input(std::span<const float> x, std::int64_t cols, float least_scale) {
  std::vector<float> out;
  const auto width = static_cast<std::size_t>(cols);
  for (std::size_t row = 0; row < x.size(); row += width) {
    const float scale = scale_or_epsilon(std::fmax(largest(x.subspan(row, width)) / 448.0f, least_scale));
    for (std::size_t i = row; i < row + width; ++i) {
      const float quotient = x[i] / scale;
      out.push_back(naive_e4m3_value(naive_e4m3(quotient == 0 ? 0.0f : quotient)) * scale);
    }
  }
  return out;
}

std::vector<float> hostile_weights(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.03f);
  std::vector<float> w(static_cast<std::size_t>(rows * cols));
  for (float& v : w) v = normal(random);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::span<float> line =
        std::span(w).subspan(static_cast<std::size_t>(row * cols), static_cast<std::size_t>(cols));
    for (std::size_t i = 0; i < line.size(); ++i) {
      switch (row % 10) {
        case 0:
          line[i] = i % 3 == 0 ? -0.0f : 0.0f;
          break;
        case 1:
          line[0] = 900.0f;
          break;
        case 2:
          line[i] = static_cast<float>(static_cast<int>(i % 15) - 7) + (i % 128 == 0 ? 0.5f : 0.0f);
          break;
        case 3:
          line[i] = static_cast<float>(static_cast<int>(i % 49) - 24) * 0.25f;
          break;
        case 4:
          line[i] *= std::exp(static_cast<float>(i % 97) - 70.0f);
          break;
        case 5:
          line[i] *= 0x1p-120f;
          break;
        case 6:
          if (i < line.size() / 2) line[i] = 0;
          break;
        case 7:
          line[i] = -std::fabs(line[i]);
          break;
        default:
          break;
      }
    }
  }
  return w;
}

}  // namespace strata::test
