// The scale search of NVFP4: as good as published, never worse than min-max, and the best of its range.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"

using namespace strata;

namespace {

const NumberFormat& format() { return require_number_format("NVFP4A16"); }

double sqnr(const std::vector<float>& w, const std::vector<float>& decoded) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double error = static_cast<double>(w[i]) - static_cast<double>(decoded[i]);
    signal += static_cast<double>(w[i]) * static_cast<double>(w[i]);
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

std::vector<float> decoded_by(ScaleRule rule, const std::vector<float>& w, std::int64_t cols,
                              std::span<const float> column_weight = {}) {
  const WeightView view{w.data(), Dtype::f32, static_cast<std::int64_t>(w.size()) / cols, cols};
  const test::EncodedWeight encoded =
      test::encode_weight(format(), view, {.rule = rule, .fused_amax = amax(w), .column_weight = column_weight});
  return test::decode_weight(format(), encoded, {view.rows, cols});
}

struct Target {
  std::string name;
  std::function<double(std::mt19937_64&)> draw;
  double minmax, search;  // dB
};

double weighted_error(std::span<const float> w, std::span<const float> decoded, std::span<const float> weight) {
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double error = static_cast<double>(w[i]) - static_cast<double>(decoded[i]);
    sum += error * error * static_cast<double>(weight[i]);
  }
  return sum;
}

std::vector<float> naive_decoded(std::span<const float> w, std::uint8_t code, float global_scale) {
  std::vector<float> decoded;
  const float scale = test::naive_e4m3_value(code) / global_scale;
  for (const float v : w) decoded.push_back(test::naive_e2m1_value(test::naive_e2m1(v / scale)) * scale);
  return decoded;
}

// The least error over all codes whose value lies in [.6, 1.7] times what min-max wants.
double least_error(std::span<const float> w, std::span<const float> weight, float global_scale) {
  float peak = 0;
  for (const float v : w) peak = std::max(peak, std::fabs(v));
  const double wanted = static_cast<double>(peak / 6.0f * global_scale);
  double least = HUGE_VAL;
  for (std::uint8_t code = 1; code < 0x7f; ++code) {
    const auto value = static_cast<double>(test::naive_e4m3_value(code));
    if (value < 0.6 * wanted || value > 1.7 * wanted) continue;
    least = std::min(least, weighted_error(w, naive_decoded(w, code, global_scale), weight));
  }
  return least;
}

// Groups of zeros, one outlier, ties, magnitudes over the whole range of the scales.
std::vector<float> varied_weights() {
  std::vector<float> w = test::hostile_weights(30, 384, 31);
  for (float& v : w) v = std::clamp(v, -7.5f, 7.5f);
  return w;
}

}  // namespace

TEST_CASE("NVFP4 scales from min-max and from the search have the published signal-to-noise ratio") {
  const auto normal = [](std::mt19937_64& random) { return std::normal_distribution<double>()(random); };
  const auto laplace = [](std::mt19937_64& random) {
    const double x = std::exponential_distribution<double>()(random);
    return (random() & 1) != 0 ? x : -x;
  };
  const auto student = [](std::mt19937_64& random) { return std::student_t_distribution<double>(5)(random); };
  for (const Target& target : {Target{"Gauss", normal, 20.43, 21.81}, Target{"Laplace", laplace, 20.66, 21.67},
                               Target{"Student-t5", student, 20.69, 21.70}}) {
    const std::vector<float> w = samples(target.draw);
    const double minmax = sqnr(w, decoded_by(ScaleRule::minmax, w, 4096));
    const double search = sqnr(w, decoded_by(ScaleRule::search, w, 4096));
    INFO(target.name << ": min-max " << minmax << " dB, search " << search << " dB");
    CHECK(std::fabs(minmax - target.minmax) < 0.05);
    CHECK(std::fabs(search - target.search) < 0.05);
  }
}

TEST_CASE("no NVFP4 group is worse after the search") {
  const std::vector<float> w = varied_weights();
  std::vector<float> column_weight(384);
  for (std::size_t i = 0; i < column_weight.size(); ++i) column_weight[i] = std::exp2(static_cast<float>(i % 23) - 11);
  const std::vector<float> ones(16, 1.0f);
  const std::vector<float> before = decoded_by(ScaleRule::minmax, w, 384),
                           plain = decoded_by(ScaleRule::search, w, 384),
                           weighted = decoded_by(ScaleRule::search, w, 384, column_weight);
  std::size_t better = 0, worse = 0;
  for (std::size_t at = 0; at < w.size(); at += 16) {
    const auto part = [at](const std::vector<float>& v) { return std::span(v).subspan(at, 16); };
    const auto weight = std::span<const float>(column_weight).subspan(at % 384, 16);
    const double error = weighted_error(part(w), part(before), ones);
    const double searched = weighted_error(part(w), part(plain), ones);
    better += searched < error * 0.999;
    worse += searched > error * (1 + 1e-6);
    worse +=
        weighted_error(part(w), part(weighted), weight) > weighted_error(part(w), part(before), weight) * (1 + 1e-6);
  }
  CHECK(worse == 0);
  CHECK(better > w.size() / 16 / 3);
}

TEST_CASE("the NVFP4 search finds the best scale of its range") {
  const std::vector<float> w = varied_weights();
  const float global_scale = 2688.0f / amax(w);
  std::vector<float> ones(384, 1.0f), uneven(384);
  for (std::size_t i = 0; i < uneven.size(); ++i) uneven[i] = std::exp2(static_cast<float>(i % 19) - 9);
  for (const std::vector<float>& weight : {ones, uneven}) {
    const bool plain = weight == ones;
    const std::vector<float> decoded =
        plain ? decoded_by(ScaleRule::search, w, 384) : decoded_by(ScaleRule::search, w, 384, weight);
    int worse = 0;
    for (std::size_t at = 0; at < w.size(); at += 16) {
      const auto group = std::span(w).subspan(at, 16);
      const auto part = std::span<const float>(weight).subspan(at % 384, 16);
      const double error = weighted_error(group, std::span(decoded).subspan(at, 16), part);
      worse += error > least_error(group, part, global_scale) * (1 + 1e-6);
    }
    CHECK(worse == 0);
  }
}

TEST_CASE("the NVFP4 search keeps the scale of a group that min-max renders best") {
  std::vector<float> w;
  for (const float v : {.011f, -.0235f, .0047f, .0312f, -.0608f, .0191f, -.0008f, .0421f, -.0152f, .0263f, .0009f,
                        -.0377f, .0514f, -.0044f, .0078f, -.0296f})
    w.push_back(test::naive_bf16(v));
  const WeightView view{w.data(), Dtype::f32, 1, 16};
  const test::EncodedWeight encoded =
      test::encode_weight(format(), view, {.rule = ScaleRule::search, .fused_amax = 0.1875f});
  CHECK(encoded.codes("weight_scale") == std::vector<std::uint8_t>{0x71});
  const std::vector<float> ones(16, 1.0f);
  const double error = weighted_error(w, test::decode_weight(format(), encoded, {1, 16}), ones);
  CHECK(std::fabs(error - 1.2455e-4) < 5e-9);
  CHECK(std::fabs(weighted_error(w, naive_decoded(w, 0x76, 14336), ones) - 1.4415e-4) < 5e-9);  // amax / 4
}

TEST_CASE("the NVFP4 search works on weights of any magnitude") {
  const std::vector<float> near_one = varied_weights();
  const std::vector<float> expected = decoded_by(ScaleRule::search, near_one, 384);
  for (const float factor : {0x1p-100f, 0x1p-60f, 0x1p60f, 0x1p120f}) {
    std::vector<float> w = near_one, decoded;
    for (float& v : w) v *= factor;
    decoded = decoded_by(ScaleRule::search, w, 384);
    for (float& v : decoded) v /= factor;
    CHECK(std::fabs(sqnr(near_one, decoded) - sqnr(near_one, expected)) < 0.001);
  }
  const std::vector<float> zeros(64, 0.0f);
  CHECK(decoded_by(ScaleRule::search, zeros, 64) == zeros);
}
