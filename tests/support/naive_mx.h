// The MX formats written again, slowly and obviously: tables of values, exponents by frexp, sums in double, one
// element at a time. Shares no code with formats/.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace strata::test {

struct NaiveMxElement {
  std::vector<double> magnitudes;  // of the codes 0, 1, 2, ... without sign
  int code_bits;
  int largest_exponent;  // of the largest magnitude
  double round_up;       // a peak m * 2^E takes the next exponent from this m on
};

NaiveMxElement naive_mx_element(std::string_view name);  // "e2m1", "e2m3", "e3m2", "e4m3"

enum class NaiveMxRule { minmax, search, theirs_f32, theirs_bf16, theirs_f16 };

struct NaiveMx {
  std::vector<std::uint8_t> codes;  // packed: a little-endian stream of bits
  std::vector<std::uint8_t> scales;
  std::vector<float> decoded;
};

// Groups of 32. `column_weight` counts squared errors in a search; it repeats after its size, empty: all 1.
NaiveMx naive_mx(std::span<const float> w, const NaiveMxElement& element, NaiveMxRule rule,
                 std::span<const float> column_weight = {});

// The squared errors of a group with a given scale byte, weighted.
double naive_mx_error(std::span<const float> group, const NaiveMxElement& element, int byte,
                      std::span<const float> weight = {});

std::vector<float> naive_mx_input(std::span<const float> x, const NaiveMxElement& element);

// By the least power of two with which nothing saturates; a group for which that is 2^-127 or less is zero.
std::vector<float> naive_mx_input_upward(std::span<const float> x, const NaiveMxElement& element);

}  // namespace strata::test
