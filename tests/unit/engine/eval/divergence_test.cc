#include "engine/eval/divergence.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <random>

#include "base/error.h"

using namespace strata;
using Catch::Approx;

TEST_CASE("two equal models have no divergence") {
  DivergenceMeter meter(2, 3);
  const std::vector<float> logits = {1, 2, 3, -5, 0, 5};
  const std::vector<TokenId> next = {0, 2};
  const std::vector<std::int64_t> window = {0, 1};
  meter.add(logits, logits, next, window);
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
  DivergenceMeter meter(1, 2);
  const std::vector<TokenId> next = {1};
  const std::vector<std::int64_t> window = {0};
  meter.add(p, q, next, window);
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
  DivergenceMeter meter(2, 2);
  meter.add(p, q, next, window);
  CHECK(meter.result().tokens == 1);
  CHECK(meter.result().kl_mean == 0);

  DivergenceMeter empty(1, 2);
  empty.add({p.data(), 2}, {q.data(), 2}, {next.data(), 1}, {window.data(), 1});
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
  DivergenceMeter meter(6, 2);
  meter.add(p, q, next, window);
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

TEST_CASE("positions added in pieces give the same figures") {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  std::vector<float> p(40 * 16), q(40 * 16);
  for (float& x : p) x = normal(generator);
  for (float& x : q) x = normal(generator);
  std::vector<TokenId> next(40, 3);
  std::vector<std::int64_t> window(40);
  for (std::size_t i = 0; i < 40; ++i) window[i] = static_cast<std::int64_t>(i / 10);

  DivergenceMeter whole(40, 16), pieces(40, 16);
  whole.add(p, q, next, window);
  for (std::size_t i = 0; i < 40; i += 8)
    pieces.add(std::span(p).subspan(i * 16, 8 * 16), std::span(q).subspan(i * 16, 8 * 16),
               std::span(next).subspan(i, 8), std::span(window).subspan(i, 8));
  CHECK(whole.result().kl_mean == pieces.result().kl_mean);
  CHECK(whole.result().kl_se == pieces.result().kl_se);
  CHECK(whole.result().ppl == pieces.result().ppl);
}
