// The number formats written again, slowly and obviously: tables of values, midpoints in double, one
// element at a time. Shares no code with formats/.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace strata::test {

// Values of the codes 0, 1, 2, ... without sign.
std::vector<double> e2m1_magnitudes();
std::vector<double> e4m3_magnitudes();  // 127 of them: the NaN code is left out

// The index of the nearest value, of two equally near the even one; beyond the last the last.
std::uint8_t nearest(const std::vector<double>& magnitudes, double magnitude);

std::uint8_t naive_e4m3(float x);  // sign bit as x has it
std::uint8_t naive_e2m1(float x);  // the same
float naive_e4m3_value(std::uint8_t code);
float naive_e2m1_value(std::uint8_t code);

float naive_bf16(float x);  // rounded to bfloat16
float naive_f16_value(std::uint16_t bits);

struct NaiveEncoding {
  std::vector<std::uint8_t> codes;   // packed bytes
  std::vector<std::uint8_t> scales;  // as stored: E4M3 bytes, or BF16 little endian
  std::vector<float> decoded;
};

NaiveEncoding naive_nvfp4(std::span<const float> w, std::int64_t cols, float global_scale);
NaiveEncoding naive_w4a16(std::span<const float> w, std::int64_t cols);
NaiveEncoding naive_fp8(std::span<const float> w, std::int64_t cols);

std::vector<float> naive_nvfp4_input(std::span<const float> x, std::int64_t cols, float global_scale);
std::vector<float> naive_fp8_input(std::span<const float> x, std::int64_t cols, float least_scale = 0);

// Reproducible weights: normals and, mixed in, zeros, outliers, ties, subnormals, -0 and huge ratios.
// cols divides by 128.
std::vector<float> hostile_weights(std::int64_t rows, std::int64_t cols, unsigned seed);

}  // namespace strata::test
