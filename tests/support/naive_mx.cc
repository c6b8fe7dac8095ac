#include "tests/support/naive_mx.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/naive_formats.h"

namespace strata::test {
namespace {

constexpr std::size_t group_size = 32;

std::vector<double> small_float(int mantissa_bits, int bias, int codes) {
  std::vector<double> values;
  for (int code = 0; code < codes; ++code) {
    const int steps = 1 << mantissa_bits, exponent = code / steps, mantissa = code % steps;
    values.push_back(exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                   : std::ldexp(steps + mantissa, exponent - bias - mantissa_bits));
  }
  return values;
}

double peak_of(std::span<const float> group) {
  double peak = 0;
  for (const float v : group) peak = std::max(peak, std::fabs(static_cast<double>(v)));
  return peak;
}

// The exponent that the peak rounds to.
int rounded_exponent(double peak, double round_up) {
  int exponent = 0;
  const double m = 2 * std::frexp(peak, &exponent);
  return exponent - 1 + (m >= round_up ? 1 : 0);
}

int minmax_byte(double peak, const NaiveMxElement& element) {
  if (peak == 0) return 1;
  return std::clamp(rounded_exponent(peak, element.round_up) - element.largest_exponent + 127, 1, 254);
}

int searched_byte(std::span<const float> group, const NaiveMxElement& element, std::span<const float> weight) {
  const int start = minmax_byte(peak_of(group), element);
  int best = start;
  double least = naive_mx_error(group, element, start, weight) * (1 - std::ldexp(1, -17));
  for (const int byte : {start - 1, start + 1}) {
    if (byte < 1 || byte > 254) continue;
    const double error = naive_mx_error(group, element, byte, weight);
    if (error < least) least = error, best = byte;
  }
  return best;
}

struct Scale {
  int byte;
  double value;
};

// In the type of the weight: exponents from `lowest` to `highest`, a scale below `smallest` is zero.
Scale their_scale(double peak, const NaiveMxElement& element, NaiveMxRule rule) {
  const bool half = rule == NaiveMxRule::theirs_f16;
  const int lowest = half ? -14 : -126, highest = half ? 15 : 127;
  const double normal = std::ldexp(1, lowest);
  const bool vanishes = peak < normal && peak < (element.round_up - 1) * normal;
  if (vanishes) return half ? Scale{127, 1} : Scale{0, std::ldexp(1, -127)};
  const int exponent = peak < normal ? lowest : rounded_exponent(peak, element.round_up);
  if (exponent > highest) return {127, std::numeric_limits<double>::infinity()};
  const int byte = std::max(exponent - element.largest_exponent + 127, 0);
  return {byte, std::ldexp(1, byte - 127)};
}

// Whether w / scale is zero in the type that compressed-tensors divides in.
bool quotient_vanishes(float w, double scale, NaiveMxRule rule) {
  const int smallest = rule == NaiveMxRule::theirs_f16 ? -24 : rule == NaiveMxRule::theirs_bf16 ? -133 : -149;
  return std::fabs(static_cast<double>(w)) / scale <= std::ldexp(1, smallest - 1);
}

bool is_theirs(NaiveMxRule rule) { return rule != NaiveMxRule::minmax && rule != NaiveMxRule::search; }

std::vector<std::uint8_t> bit_stream(const std::vector<unsigned>& codes, int bits) {
  std::vector<std::uint8_t> bytes(codes.size() * static_cast<std::size_t>(bits) / 8);
  for (std::size_t i = 0; i < codes.size(); ++i)
    for (int bit = 0; bit < bits; ++bit) {
      const std::size_t at = i * static_cast<std::size_t>(bits) + static_cast<std::size_t>(bit);
      if ((codes[i] >> bit & 1) != 0) bytes[at / 8] = static_cast<std::uint8_t>(bytes[at / 8] | 1 << at % 8);
    }
  return bytes;
}

}  // namespace

NaiveMxElement naive_mx_element(std::string_view name) {
  if (name == "e2m1") return {small_float(1, 1, 8), 4, 2, 1.75};
  if (name == "e2m3") return {small_float(3, 1, 32), 6, 2, 1.9375};
  if (name == "e3m2") return {small_float(2, 3, 32), 6, 4, 1.875};
  return {small_float(3, 7, 127), 8, 8, 1.75};
}

double naive_mx_error(std::span<const float> group, const NaiveMxElement& element, int byte,
                      std::span<const float> weight) {
  double sum = 0;
  const double scale = std::ldexp(1, byte - 127);
  for (std::size_t i = 0; i < group.size(); ++i) {
    const double magnitude = std::fabs(static_cast<double>(group[i]));
    const double error = magnitude - element.magnitudes[nearest(element.magnitudes, magnitude / scale)] * scale;
    sum += error * error * (weight.empty() ? 1.0 : static_cast<double>(weight[i]));
  }
  return sum;
}

NaiveMx naive_mx(std::span<const float> w, const NaiveMxElement& element, NaiveMxRule rule,
                 std::span<const float> column_weight) {
  NaiveMx result;
  std::vector<unsigned> codes;
  const unsigned sign_bit = 1u << (element.code_bits - 1);
  for (std::size_t g = 0; g < w.size(); g += group_size) {
    const std::span<const float> group = w.subspan(g, group_size);
    const auto weight =
        column_weight.empty() ? column_weight : column_weight.subspan(g % column_weight.size(), group_size);
    Scale scale{};
    if (is_theirs(rule)) {
      scale = their_scale(peak_of(group), element, rule);
    } else {
      const int byte =
          rule == NaiveMxRule::minmax ? minmax_byte(peak_of(group), element) : searched_byte(group, element, weight);
      scale = {byte, std::ldexp(1, byte - 127)};
    }
    result.scales.push_back(static_cast<std::uint8_t>(scale.byte));
    for (const float v : group) {
      unsigned code = nearest(element.magnitudes, std::fabs(static_cast<double>(v)) / scale.value);
      const double value = element.magnitudes[code] * std::ldexp(1, scale.byte - 127);
      const bool no_sign = is_theirs(rule) && element.code_bits != 6 && quotient_vanishes(v, scale.value, rule);
      const bool negative = std::signbit(v) && !no_sign;
      if (negative) code |= sign_bit;
      codes.push_back(code);
      result.decoded.push_back(static_cast<float>(negative ? -value : value));
    }
  }
  result.codes = bit_stream(codes, element.code_bits);
  return result;
}

std::vector<float> naive_mx_input(std::span<const float> x, const NaiveMxElement& element) {
  std::vector<float> out;
  for (std::size_t g = 0; g < x.size(); g += group_size) {
    const Scale scale = their_scale(peak_of(x.subspan(g, group_size)), element, NaiveMxRule::theirs_f32);
    for (const float v : x.subspan(g, group_size)) {
      const float quotient = static_cast<float>(static_cast<double>(v) / scale.value) + 0.0f;
      const double magnitude = std::fabs(static_cast<double>(quotient));
      const auto value = static_cast<float>(element.magnitudes[nearest(element.magnitudes, magnitude)] * scale.value);
      out.push_back(std::signbit(quotient) ? -value : value);
    }
  }
  return out;
}

std::vector<float> naive_mx_input_upward(std::span<const float> x, const NaiveMxElement& element) {
  std::vector<float> out;
  for (std::size_t g = 0; g < x.size(); g += group_size) {
    double peak = 0;
    for (const float v : x.subspan(g, group_size)) peak = std::fmax(peak, std::fabs(static_cast<double>(v)));
    double scale = std::ldexp(1.0, -127);
    while (peak > element.magnitudes.back() * scale) scale *= 2;
    const bool lost = scale == std::ldexp(1.0, -127);
    for (const float v : x.subspan(g, group_size)) {
      const double quotient = std::fabs(static_cast<double>(v)) / scale;
      const double magnitude = lost ? 0 : element.magnitudes[nearest(element.magnitudes, quotient)] * scale;
      out.push_back(static_cast<float>(v < 0 ? -magnitude : magnitude));
    }
  }
  return out;
}

}  // namespace strata::test
