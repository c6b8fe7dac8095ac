// Prices of made-up scores whose truth is known.
#include "engine/solver/price.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;

namespace {

// Sequence n has scores of variance v[n], itself drawn from an exponential distribution: heavy tails, as text has them.
std::vector<float> draw(std::mt19937& random, std::size_t sequences, std::size_t probes) {
  std::exponential_distribution<double> variance;
  std::normal_distribution<double> normal;
  std::vector<float> scores;
  for (std::size_t n = 0; n < sequences; ++n) {
    const double deviation = std::sqrt(variance(random));
    for (std::size_t k = 0; k < probes; ++k) scores.push_back(static_cast<float>(deviation * normal(random)));
  }
  return scores;
}

}  // namespace

TEST_CASE("a price is half the mean square of the scores, per token") {
  // By hand: sequences (1, 3) and (2, 0) of two probes; mean_k sum_n s^2 = ((1 + 4) + (9 + 0)) / 2 = 7.
  const std::vector<float> scores = {1, 3, 2, 0};
  const Price price = price_of(scores, 2, 10);
  CHECK(price.cost == Approx(7.0 / 20));
  // Parts 5/20 and 2/20; their sum's error is sqrt(2) times their deviation from the mean, (5 - 2) / 2 / 20 each.
  CHECK(price.standard_error == Approx(std::sqrt(2.0 / 1 * 2 * 0.075 * 0.075)));
  CHECK(std::isinf(price_of(scores, 4, 10).standard_error));
  CHECK(thrown_by([&] { price_of(scores, 3, 10); }).fault == Fault::bug);
}

TEST_CASE("a price is unbiased, and its error is what repetitions show") {
  std::mt19937 random(5);
  constexpr std::size_t sequences = 64, probes = 8, repetitions = 400;
  std::vector<double> costs, errors;
  for (std::size_t i = 0; i < repetitions; ++i) {
    const Price price = price_of(draw(random, sequences, probes), probes, sequences);
    costs.push_back(price.cost);
    errors.push_back(price.standard_error);
  }
  double mean = 0, squares = 0;
  for (const double cost : costs) mean += cost / repetitions;
  for (const double cost : costs) squares += (cost - mean) * (cost - mean) / (repetitions - 1);
  const double observed = std::sqrt(squares);
  CHECK(std::abs(mean - 0.5) < 4 * observed / std::sqrt(static_cast<double>(repetitions)));  // half the mean variance
  std::ranges::sort(errors);
  CHECK(errors[repetitions / 2] == Approx(observed).epsilon(0.15));
}
