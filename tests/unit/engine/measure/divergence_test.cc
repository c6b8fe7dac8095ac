#include "engine/measure/divergence.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <random>

#include "base/error.h"

using namespace strata;
using Catch::Approx;

TEST_CASE("two equal models have no divergence") {
  const std::vector<float> logits = {1, 2, 3, -5, 0, 5};
  const std::vector<TokenId> next = {0, 2};
  const std::vector<std::int64_t> window = {0, 1};
  DivergenceMeter meter(next, window);
  meter.add(0, 0, 3, logits, logits);
  const Divergence result = meter.result();
  CHECK(result.kl_mean == 0);
  CHECK(result.kl_se == 0);  // two windows, no spread
  CHECK(result.top1_agreement == 1);
  CHECK(result.ppl == result.ppl_reference);
  CHECK(result.tokens == 2);
}

TEST_CASE("divergence and perplexity of two tokens follow from their probabilities") {
  // p = (0.8, 0.2), q = (0.4, 0.6); shifting all logits changes nothing.
  const std::vector<float> p = {static_cast<float>(std::log(0.8)) + 7, static_cast<float>(std::log(0.2)) + 7};
  const std::vector<float> q = {static_cast<float>(std::log(0.4)) - 3, static_cast<float>(std::log(0.6)) - 3};
  const std::vector<TokenId> next = {1};
  const std::vector<std::int64_t> window = {0};
  DivergenceMeter meter(next, window);
  meter.add(0, 0, 2, p, q);
  const Divergence result = meter.result();
  CHECK(result.kl_mean == Approx(0.8 * std::log(2.0) + 0.2 * std::log(1.0 / 3)).epsilon(1e-5));
  CHECK(result.top1_agreement == 0);
  CHECK(result.ppl_reference == Approx(5.0).epsilon(1e-5));
  CHECK(result.ppl == Approx(1 / 0.6).epsilon(1e-5));
}

TEST_CASE("positions without a next token are left out") {
  const std::vector<float> p = {0, 1, 0, 1}, q = {1, 0, 0, 1};
  const std::vector<TokenId> next = {-1, 0};
  const std::vector<std::int64_t> window = {0, 0};
  DivergenceMeter meter(next, window);
  meter.add(0, 0, 2, p, q);
  CHECK(meter.result().tokens == 1);
  CHECK(meter.result().kl_mean == 0);

  DivergenceMeter empty({next.data(), 1}, {window.data(), 1});
  empty.add(0, 0, 2, {p.data(), 2}, {q.data(), 2});
  CHECK_THROWS_AS(empty.result(), Error);
}

TEST_CASE("the standard error counts windows and quantiles are interpolated") {
  // Every position's KL is log(1 + e^d) - log 2 - d / 2 with reference logits (0, 0) and model logits (0, d).
  const std::vector<double> d = {0.5, 1.0, 2.0, 3.0, 0.1, 4.0};
  const std::vector<std::int64_t> window = {0, 0, 1, 1, 2, 2};
  std::vector<float> p(12, 0.0f), q;
  std::vector<double> kl;
  for (const double x : d) {
    q.push_back(0);
    q.push_back(static_cast<float>(x));
    kl.push_back(std::log1p(std::exp(x)) - std::log(2.0) - x / 2);
  }
  const std::vector<TokenId> next(6, 0);
  DivergenceMeter meter(next, window);
  meter.add(0, 0, 2, p, q);
  const Divergence result = meter.result();

  double mean = 0;
  for (const double x : kl) mean += x / 6;
  double squares = 0;
  for (int w = 0; w < 3; ++w) squares += std::pow(kl[2 * w] + kl[2 * w + 1] - 2 * mean, 2);
  CHECK(result.kl_mean == Approx(mean).epsilon(1e-6));
  CHECK(result.kl_se == Approx(std::sqrt(squares * 3 / 2) / 6).epsilon(1e-6));

  std::ranges::sort(kl);
  CHECK(result.kl_p99 == Approx(kl[4] + 0.95 * (kl[5] - kl[4])).epsilon(1e-6));
  CHECK(result.kl_p999 == Approx(kl[4] + 0.995 * (kl[5] - kl[4])).epsilon(1e-6));
}

TEST_CASE("positions added in pieces, and a vocabulary in columns, give the same figures") {
  constexpr std::int64_t rows = 40, width = 16;
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  std::vector<float> p(rows * width), q(rows * width);
  for (float& x : p) x = 5 * normal(generator);
  for (float& x : q) x = 5 * normal(generator);
  std::vector<TokenId> next(rows);
  std::vector<std::int64_t> window(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    next[i] = static_cast<TokenId>(i % width);
    window[i] = static_cast<std::int64_t>(i / 10);
  }
  DivergenceMeter whole(next, window), pieces(next, window), columns(next, window);
  whole.add(0, 0, width, p, q);
  for (std::size_t i = 0; i < rows; i += 8)
    pieces.add(static_cast<std::int64_t>(i), 0, width, std::span(p).subspan(i * width, 8 * width),
               std::span(q).subspan(i * width, 8 * width));
  constexpr std::int64_t some = 5;
  for (std::int64_t column = 0; column < width; column += some) {
    const std::int64_t count = std::min(some, width - column);
    std::vector<float> left, right;
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t c = column; c < column + count; ++c) {
        left.push_back(p[static_cast<std::size_t>(row * width + c)]);
        right.push_back(q[static_cast<std::size_t>(row * width + c)]);
      }
    columns.add(0, column, count, left, right);
  }
  CHECK(whole.result().kl_mean == pieces.result().kl_mean);
  CHECK(whole.result().kl_se == pieces.result().kl_se);
  CHECK(whole.result().ppl == pieces.result().ppl);
  CHECK(columns.result().kl_mean == Approx(whole.result().kl_mean).epsilon(1e-12));
  CHECK(columns.result().ppl == Approx(whole.result().ppl).epsilon(1e-12));
  CHECK(columns.result().ppl_reference == Approx(whole.result().ppl_reference).epsilon(1e-12));
  CHECK(columns.result().top1_agreement == whole.result().top1_agreement);
}

TEST_CASE("two models are compared window by window") {
  // KL of logits (0, d) from (0, 0), as above; what both have in common does not count.
  const auto kl = [](double d) { return std::log(1 + std::exp(d)) - std::log(2.0) - d / 2; };
  const std::vector<double> one = {0.5, 1.0, 2.0, 3.0}, other = {0.4, 1.1, 2.2, 2.0};
  const std::vector<TokenId> next = {0, 0, 0, 0};
  const std::vector<std::int64_t> window = {0, 0, 1, 1};
  DivergenceMeter first(next, window), second(next, window);
  const std::vector<float> reference(8, 0.0f);
  std::vector<float> a, b;
  for (std::size_t i = 0; i < one.size(); ++i) {
    a.insert(a.end(), {0.0f, static_cast<float>(one[i])});
    b.insert(b.end(), {0.0f, static_cast<float>(other[i])});
  }
  first.add(0, 0, 2, reference, a);
  second.add(0, 0, 2, reference, b);
  std::vector<double> difference;
  double mean = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    difference.push_back(kl(one[i]) - kl(other[i]));
    mean += difference.back() / 4;
  }
  const double w0 = difference[0] + difference[1] - 2 * mean, w1 = difference[2] + difference[3] - 2 * mean;
  const Paired paired = first.above(second);
  CHECK(paired.difference == Approx(mean).epsilon(1e-5));
  CHECK(paired.standard_error == Approx(std::sqrt((w0 * w0 + w1 * w1) * 2.0) / 4).epsilon(1e-5));
  CHECK(second.above(first).difference == Approx(-mean).epsilon(1e-5));
}
