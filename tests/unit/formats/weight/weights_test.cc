#include "formats/weight/weights.h"

#include <tbb/global_control.h>

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "formats/kernels/minifloat.h"
#include "tests/support/naive_formats.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::string message_of(const WeightView& weight) {
  try {
    finite_amax(weight, "model.layers.3.mlp.up_proj.weight");
  } catch (const Error& error) {
    CHECK(error.fault == Fault::input);
    return error.what();
  }
  return "";
}

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * 4);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace

TEST_CASE("finite_amax gives the largest magnitude of every dtype") {
  std::vector<float> w(700 * 300, 0.5f);
  w[123456] = -3.25f;
  CHECK(finite_amax({w.data(), Dtype::f32, 700, 300}, "w") == 3.25f);
  std::vector<std::uint16_t> halves(700 * 300, 0x3f00);
  halves[99] = 0xc050;  // -3.25 in bfloat16
  CHECK(finite_amax({halves.data(), Dtype::bf16, 700, 300}, "w") == 3.25f);
  halves[99] = 0xc280;  // -3.25 in float16
  CHECK(finite_amax({halves.data(), Dtype::f16, 700, 300}, "w") == 3.25f);
}

TEST_CASE("finite_amax names the first value that is not finite by row and column") {
  std::vector<float> w(2000 * 100, 1.0f);
  w[150000] = infinity;
  CHECK_THAT(message_of({w.data(), Dtype::f32, 2000, 100}), ContainsSubstring("infinity at row 1500, column 0"));
  w[70017] = -infinity;
  w[70020] = std::nanf("");
  CHECK_THAT(message_of({w.data(), Dtype::f32, 2000, 100}),
             ContainsSubstring("model.layers.3.mlp.up_proj.weight: infinity at row 700, column 17"));
  w[5] = std::nanf("");
  CHECK_THAT(message_of({w.data(), Dtype::f32, 2000, 100}), ContainsSubstring("NaN at row 0, column 5"));
  std::vector<std::uint16_t> halves(64, 0x3c00);
  halves[63] = 0x7c00;  // infinity in float16, 2^121 in bfloat16
  CHECK_THAT(message_of({halves.data(), Dtype::f16, 8, 8}), ContainsSubstring("infinity at row 7, column 7"));
  CHECK(message_of({halves.data(), Dtype::bf16, 8, 8}).empty());
  halves[62] = 0xffc0;
  CHECK_THAT(message_of({halves.data(), Dtype::bf16, 8, 8}), ContainsSubstring("NaN at row 7, column 6"));
}

TEST_CASE("amax is NaN when any value is") {
  std::vector<float> x(100000, -2.0f);
  CHECK(amax(x) == 2.0f);
  x[99999] = -infinity;
  CHECK(amax(x) == infinity);
  x[50] = std::nanf("");
  CHECK(std::isnan(amax(x)));
  CHECK(amax({}) == 0.0f);
}

TEST_CASE("widen reads every float dtype, at odd places too") {
  std::vector<std::byte> storage(1 + 4 * 2);
  const std::uint16_t half[] = {0x3c00, 0xc500, 0x0001, 0x7bff};
  std::memcpy(storage.data() + 1, half, sizeof half);
  std::vector<float> out(4);
  widen(Dtype::f16, std::span(storage).subspan(1), out);
  CHECK(out == std::vector<float>{1, -5, 0x1p-24f, 65504});
  const double wide[] = {1.5, -1e300};
  std::vector<float> two(2);
  widen(Dtype::f64, std::as_bytes(std::span(wide)), two);
  CHECK(two == std::vector<float>{1.5f, -infinity});
  widen(Dtype::f32, bytes_of({7, -8}), two);
  CHECK(two == std::vector<float>{7, -8});
  CHECK_THROWS_AS(widen(Dtype::i64, std::as_bytes(std::span(wide)), two), Error);
}

TEST_CASE("bfloat16 rounding is to the nearest, ties to even") {
  std::vector<float> values = test::hostile_weights(10, 1024, 5);
  std::vector<float> rounded = values;
  std::vector<std::byte> halves(values.size() * 2);
  round_to_bf16(rounded);
  to_bf16(values, halves);
  int wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, halves.data() + 2 * i, 2);
    wrong += std::bit_cast<std::uint32_t>(rounded[i]) != std::bit_cast<std::uint32_t>(test::naive_bf16(values[i]));
    wrong += static_cast<std::uint32_t>(bits) << 16 != std::bit_cast<std::uint32_t>(rounded[i]);
  }
  CHECK(wrong == 0);
}

TEST_CASE("encode_error sums squares in double, the same for any number of threads") {
  const std::vector<float> w = test::hostile_weights(97, 384, 6);
  std::vector<float> other = w;
  for (std::size_t i = 0; i < other.size(); ++i) other[i] += 0.01f * static_cast<float>(i % 7);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double a = static_cast<double>(w[i]), b = static_cast<double>(other[i]);
    error += (a - b) * (a - b);
    size += a * a;
  }
  const WeightView view{w.data(), Dtype::f32, 97, 384};
  const EncodeError many = encode_error(view, other);
  CHECK(std::fabs(many.squared_error - error) < 1e-12 * error);
  CHECK(std::fabs(many.squared_weight - size) < 1e-12 * size);
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const EncodeError one = encode_error(view, other);
  CHECK(one.squared_error == many.squared_error);
  CHECK(one.squared_weight == many.squared_weight);
}
