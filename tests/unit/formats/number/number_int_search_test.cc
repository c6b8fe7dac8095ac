// The scale search of the integers: as good as published, never worse than min-max.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>
#include <random>
#include <string>

#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"

using namespace strata;

namespace {

std::vector<float> decoded_by(std::string_view name, ScaleRule rule, const std::vector<float>& w, std::int64_t cols,
                              std::span<const float> column_weight = {}) {
  const NumberFormat& format = require_number_format(name);
  const WeightView view{w.data(), Dtype::f32, static_cast<std::int64_t>(w.size()) / cols, cols};
  const test::EncodedWeight encoded = test::encode_weight(format, view, {.rule = rule, .column_weight = column_weight});
  return test::decode_weight(format, encoded, {view.rows, cols});
}

double sqnr(const std::vector<float>& w, const std::vector<float>& decoded) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double value = static_cast<double>(w[i]), error = value - static_cast<double>(decoded[i]);
    signal += value * value;
    noise += error * error;
  }
  return 10 * std::log10(signal / noise);
}

// 4.2 million samples of a distribution, rounded to bfloat16.
std::vector<float> samples(const std::function<double(std::mt19937_64&)>& draw) {
  std::mt19937_64 random(5);
  std::vector<float> w(1 << 22);
  for (float& v : w) v = static_cast<float>(draw(random) * 0.02);
  round_to_bf16(w);
  return w;
}

struct Target {
  std::string name;
  std::function<double(std::mt19937_64&)> draw;
  double minmax, search;  // dB, in groups of 128
};

double weighted_error(std::span<const float> w, std::span<const float> decoded, std::span<const float> weight) {
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double error = static_cast<double>(w[i]) - static_cast<double>(decoded[i]);
    sum += error * error * static_cast<double>(weight[i]);
  }
  return sum;
}

struct Comparison {
  std::size_t better = 0, worse = 0;
};

Comparison compared(std::string_view name, std::int64_t group, bool weighted) {
  constexpr std::size_t cols = 384;
  const std::vector<float> w = test::hostile_weights(40, cols, 51);
  std::vector<float> weight(cols, 1.0f);
  if (weighted)
    for (std::size_t i = 0; i < cols; ++i) weight[i] = std::exp2(static_cast<float>(i * 7 % 23) - 11);
  const std::span<const float> used = weighted ? std::span<const float>(weight) : std::span<const float>();
  const std::vector<float> before = decoded_by(name, ScaleRule::minmax, w, cols),
                           after = decoded_by(name, ScaleRule::search, w, cols, used);
  const auto width = static_cast<std::size_t>(group);
  Comparison result;
  for (std::size_t at = 0; at < w.size(); at += width) {
    const auto part = [&](const std::vector<float>& of) { return std::span(of).subspan(at, width); };
    const std::span<const float> columns = std::span(weight).subspan(at % cols, width);
    const double plain = weighted_error(part(w), part(before), columns);
    const double searched = weighted_error(part(w), part(after), columns);
    result.better += searched < plain;
    result.worse += searched > plain * (1 + 1e-9);
  }
  return result;
}

}  // namespace

TEST_CASE("int4 scales from min-max and from the search have the published signal-to-noise ratio") {
  const auto normal = [](std::mt19937_64& random) { return std::normal_distribution<double>()(random); };
  const auto laplace = [](std::mt19937_64& random) {
    const double x = std::exponential_distribution<double>()(random);
    return (random() & 1) != 0 ? x : -x;
  };
  const auto student = [](std::mt19937_64& random) { return std::student_t_distribution<double>(5)(random); };
  for (const Target& target : {Target{"Gauss", normal, 19.12, 20.31}, Target{"Laplace", laplace, 16.39, 17.63},
                               Target{"Student-t5", student, 15.79, 17.10}}) {
    const std::vector<float> w = samples(target.draw);
    const double minmax = sqnr(w, decoded_by("W4A16", ScaleRule::minmax, w, 4096));
    const double search = sqnr(w, decoded_by("W4A16", ScaleRule::search, w, 4096));
    const double asym = sqnr(w, decoded_by("W4A16_ASYM", ScaleRule::search, w, 4096));
    INFO(target.name << ": min-max " << minmax << " dB, search " << search << " dB, with zero point " << asym);
    CHECK(std::fabs(minmax - target.minmax) < 0.05);
    CHECK(std::fabs(search - target.search) < 0.05);
    CHECK(asym > search);
  }
}

TEST_CASE("no group of integers is worse after the search") {
  const std::pair<std::string, std::int64_t> cases[] = {{"W4A16", 128},         {"W4A16_G32", 32}, {"W4A16_ASYM", 128},
                                                        {"W4A16_G32_ASYM", 32}, {"W8A16", 128},    {"INT8", 384}};
  for (const auto& [name, group] : cases)
    for (const bool weighted : {false, true}) {
      const Comparison result = compared(name, group, weighted);
      INFO(name << (weighted ? ", weighted" : "") << ": " << result.better << " better, " << result.worse << " worse");
      CHECK(result.worse == 0);
      CHECK(result.better > static_cast<std::size_t>(40 * 384 / group / 3));
    }
}

TEST_CASE("the search puts a positive extreme on the lowest code with a negative scale") {
  std::vector<float> w(128);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 16) - 7;  // -7 .. 8
  const test::EncodedWeight encoded =
      test::encode_weight(require_number_format("W4A16"), {w.data(), Dtype::f32, 1, 128}, {.rule = ScaleRule::search});
  CHECK(encoded.codes("weight_scale") == std::vector<std::uint8_t>{0x80, 0xbf});  // -1
  CHECK((test::decode_weight(require_number_format("W4A16"), encoded, {1, 128}) == w));
}

TEST_CASE("the search gives up columns that nothing reads") {
  std::vector<float> w(128, 0.0f), weight(128, 1.0f);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 15) - 7;
  w[17] = 40;
  weight[17] = 0;
  const std::vector<float> decoded = decoded_by("W4A16", ScaleRule::search, w, 128, weight);
  for (std::size_t i = 0; i < w.size(); ++i)
    if (i != 17) CHECK(std::fabs(decoded[i] - w[i]) < 0.06f);
}
