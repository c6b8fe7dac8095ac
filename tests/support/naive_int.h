// The integer formats and FP8 by tensor and block written again, slowly and obviously: one element at a
// time, each rounding by its definition. Shares no code with formats/.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace strata::test {

// Every operation is done in float32 and then rounded to this.
enum class NaiveType { f32, bf16, f16 };

float naive_f16(float x);  // rounded to float16, infinite beyond its range
float naive_round(float x, NaiveType type);

// x rounded to a whole number, ties to even.
double naive_whole(double x);

struct NaiveInt {
  int bits = 4;
  std::int64_t cols = 0, group = 0;  // of a row; of a scale
  bool zero_point = false;
  NaiveType arithmetic = NaiveType::f32, scale = NaiveType::bf16;
};

struct NaiveIntEncoding {
  std::vector<int> codes;     // signed
  std::vector<float> scales;  // rows x groups
  std::vector<int> zeros;     // the same, empty without zero points
  std::vector<float> decoded;
};

NaiveIntEncoding naive_int(std::span<const float> w, const NaiveInt& format);

// Little-endian words of `bits` bits each, code + 2^(bits - 1), every row to its own words.
std::vector<std::uint32_t> naive_packed(std::span<const int> codes, std::int64_t cols, int bits);

// What an INT8 matrix product sees: the largest magnitude of a row is that many steps (127, 127.5).
std::vector<float> naive_int8_input(std::span<const float> x, std::int64_t cols, float steps);

}  // namespace strata::test
