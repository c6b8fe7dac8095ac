// Which of several measured choices is taken: dominance against a reference that tries everything, knees and
// confirmation of frontiers made by hand.
#include "engine/measure/point_choice.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "base/error.h"
#include "engine/prices/measured_frontier.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr double no_tail = std::numeric_limits<double>::infinity();

PointRecord point(double bits, double kl, double confirm_kl) {
  return {.name = fmt::format("{:g} bits", bits),
          .bytes = static_cast<std::uint64_t>(1000 * bits),
          .bits = bits,
          .select = {.kl_mean = kl, .kl_p99 = 10 * kl},
          .confirm = {.kl_mean = confirm_kl, .kl_p99 = 10 * confirm_kl},
          .select_tail = no_tail,
          .confirm_tail = no_tail};
}

std::vector<PointRecord> curve(const std::vector<std::pair<double, double>>& bits_and_kl) {
  std::vector<PointRecord> points;
  for (const auto& [bits, kl] : bits_and_kl) points.push_back(point(bits, kl, kl));
  return points;
}

// Every pair has the same error.
PairedOf paired(const std::vector<PointRecord>& points, double error, bool confirm = false) {
  return [&points, error, confirm](std::size_t a, std::size_t b) {
    const Divergence &one = confirm ? points[a].confirm : points[a].select,
                     &other = confirm ? points[b].confirm : points[b].select;
    return Paired{one.kl_mean - other.kl_mean, error};
  };
}

std::vector<std::size_t> all(const std::vector<PointRecord>& points) {
  std::vector<std::size_t> indices(points.size());
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

// By definition: a set where every one is better than all smaller ones of the set, and every one outside is not; there
// is only one. Tries all sets.
std::set<std::size_t> reference(const std::vector<PointRecord>& points, const std::vector<std::vector<double>>& error) {
  const auto smaller = [&](std::size_t a, std::size_t b) {
    if (points[a].bytes != points[b].bytes) return points[a].bytes < points[b].bytes;
    if (points[a].select.kl_mean != points[b].select.kl_mean)
      return points[a].select.kl_mean < points[b].select.kl_mean;
    return a < b;
  };
  const auto beats_all = [&](std::size_t i, unsigned set) {
    for (std::size_t j = 0; j < points.size(); ++j)
      if (j != i && (set >> j & 1u) != 0 && smaller(j, i) &&
          points[j].select.kl_mean - points[i].select.kl_mean <= 2 * error[j][i])
        return false;
    return true;
  };
  std::vector<std::set<std::size_t>> found;
  for (unsigned set = 0; set < 1u << points.size(); ++set) {
    bool right = true;
    for (std::size_t i = 0; i < points.size(); ++i) right = right && beats_all(i, set) == ((set >> i & 1u) != 0);
    if (!right) continue;
    std::set<std::size_t>& one = found.emplace_back();
    for (std::size_t i = 0; i < points.size(); ++i)
      if ((set >> i & 1u) != 0) one.insert(i);
  }
  REQUIRE(found.size() == 1);
  return found.front();
}

PointChoice choose(const std::vector<PointRecord>& points, double error, bool allow_tail = false) {
  return decide_point(points, paired(points, error), paired(points, error, true), allow_tail);
}

}  // namespace

TEST_CASE("what stays is what the definition says, on frontiers made at random") {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> kl(0, 1), noise(0, 0.2);
  std::uniform_int_distribution<int> bytes(1, 6);
  for (int round = 0; round < 200; ++round) {
    std::vector<PointRecord> points;
    for (int i = 0; i < 8; ++i) points.push_back(point(bytes(random), kl(random), 0));
    std::vector<std::vector<double>> error(8, std::vector<double>(8));
    for (auto& row : error)
      for (double& one : row) one = noise(random);
    const auto above = [&](std::size_t a, std::size_t b) {
      return Paired{points[a].select.kl_mean - points[b].select.kl_mean, error[a][b]};
    };
    const std::vector<std::size_t> kept = not_dominated(points, all(points), above);
    CHECK(std::ranges::is_sorted(kept, {}, [&](std::size_t i) { return points[i].bytes; }));
    CHECK(std::set<std::size_t>(kept.begin(), kept.end()) == reference(points, error));
  }
}

TEST_CASE("gains within the noise are none, but small ones add up") {
  const std::vector<PointRecord> points = curve({{4, 1.0}, {5, 0.9}, {6, 0.8}, {7, 0.7}, {8, 0.6}});
  CHECK(not_dominated(points, all(points), paired(points, 0.04)) == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(not_dominated(points, all(points), paired(points, 0.06)) == std::vector<std::size_t>{0, 2, 4});
  CHECK(not_dominated(points, all(points), paired(points, 1)) == std::vector<std::size_t>{0});
  CHECK(not_dominated(points, {4, 1}, paired(points, 0.04)) == std::vector<std::size_t>{1, 4});
}

TEST_CASE("the knee is the point farthest below the chord of ln KL, however KL and bits are scaled") {
  // Falls by e^3, then e^0.5 twice.
  const std::vector<std::pair<double, double>> elbow = {
      {4, std::exp(0)}, {5, std::exp(-3)}, {6, std::exp(-3.5)}, {7, std::exp(-4)}};
  const std::vector<PointRecord> points = curve(elbow);
  CHECK(knee_of(points, all(points)) == 1);
  std::vector<std::pair<double, double>> scaled = elbow;
  for (auto& [bits, kl] : scaled) bits = 3 * bits - 5, kl *= 1e-4;
  const std::vector<PointRecord> other = curve(scaled);
  CHECK(knee_of(other, all(other)) == 1);
  // Every bit gives the same factor, or a larger one: no knee. Nor is one of two.
  const std::vector<PointRecord> line = curve({{4, 1}, {5, 0.5}, {6, 0.25}, {7, 0.1}});
  CHECK(knee_of(line, all(line)) == 4);
  CHECK(knee_of(line, {0, 1}) == 2);
  CHECK(knee_of(line, {2}) == 1);
  // What is measured as nothing stands for the least that is more.
  const std::vector<PointRecord> noisy = curve({{4, 1}, {5, 0.01}, {6, 0.01}, {7, -0.001}});
  CHECK(knee_of(noisy, all(noisy)) == 1);
}

TEST_CASE("the knee is taken where other windows confirm it, else the next smaller one") {
  std::vector<PointRecord> points = curve({{4, 1}, {5, 0.5}, {6, 0.05}, {7, 0.04}, {8, 0.03}});
  CHECK(choose(points, 0.004).point == 2);
  CHECK_THAT(choose(points, 0.004).reasons.back(),
             ContainsSubstring("6 bits is confirmed on other windows: 0.45 +- 0.004 below 5 bits"));
  points[2].confirm.kl_mean = 0.495;  // 0.005 below 5 bits: less than 1.645 errors
  const PointChoice down = choose(points, 0.004);
  CHECK(down.point == 1);
  REQUIRE(down.reasons.size() == 3);
  CHECK_THAT(down.reasons[0], ContainsSubstring("6 bits is the knee of 5"));
  CHECK_THAT(down.reasons[1], ContainsSubstring("6 bits is not confirmed"));
  CHECK_THAT(down.reasons[2], ContainsSubstring("5 bits is confirmed"));
  points[2].confirm.kl_mean = 0.493;
  CHECK(choose(points, 0.004).point == 2);
  points[2].confirm.kl_mean = 1.1;
  points[1].confirm.kl_mean = 1;
  CHECK(choose(points, 0.004).point == 0);
  const std::vector<PointRecord> line = curve({{4, 1}, {5, 0.5}, {6, 0.25}});
  CHECK(choose(line, 0.004).point == 2);
  CHECK_THAT(choose(line, 0.004).reasons.front(), ContainsSubstring("no knee among 3: 6 bits has the least KL"));
  CHECK_THAT(choose(line, 1).reasons.front(), ContainsSubstring("2 of 3 choices are no better"));
}

TEST_CASE("a point whose tail is longer than that of a uniform alternative is not taken") {
  std::vector<PointRecord> points = curve({{4, 1}, {5, 0.05}, {6, 0.04}, {7, 0.03}});
  CHECK(choose(points, 0.001).point == 1);
  points[1].select_tail = 0.49;  // its own is 0.5
  const PointChoice without = choose(points, 0.001);
  CHECK(without.point == 2);
  CHECK(without.kept == std::vector<std::size_t>{0, 2, 3});
  CHECK_THAT(without.reasons.front(), ContainsSubstring("5 bits is out: p99 0.5 is above 0.49"));
  CHECK(choose(points, 0.001, true).point == 1);
  points[1].select_tail = no_tail;
  points[1].confirm_tail = 0.49;  // seen only where it is confirmed
  CHECK(choose(points, 0.001).point == 0);
  CHECK(choose(points, 0.001, true).point == 1);
  for (PointRecord& one : points) one.select_tail = 0;
  const Error error = thrown_by([&] { choose(points, 0.001); });
  CHECK(error.fault == Fault::check);
  CHECK_THAT(error.what(), ContainsSubstring("in each of 4 choices"));
}

TEST_CASE("predictions are held against what was measured") {
  const auto made = [](std::vector<std::pair<double, double>> pairs) {
    std::vector<MeasuredPoint> points;
    for (const auto& [predicted, measured] : pairs) {
      MeasuredPoint& one = points.emplace_back();
      one.bits_asked = {5, 6};
      one.predicted = predicted;
      one.measured = measured;
    }
    return points;
  };
  const Surrogate half = surrogate_of(made({{1, 2}, {2, 4}, {4, 8}}));
  CHECK(half.spearman == Approx(1));
  CHECK(half.bias == Approx(-0.5));
  CHECK(half.points == 3);
  // Ranks 0 1 2 3 beside 1 0 2 3: 1 - 6 sum d^2 / (n (n^2 - 1)); and the bias is a geometric mean.
  const Surrogate swapped = surrogate_of(made({{1, 2}, {2, 1}, {3, 3}, {4, 8}, {-1, 1}, {1, 0}}));
  CHECK(swapped.points == 4);
  CHECK(swapped.spearman == Approx(1 - 6.0 * 2 / (4 * 15)));
  CHECK(swapped.bias == Approx(std::pow(0.5 * 2 * 1 * 0.5, 0.25) - 1));
  CHECK(surrogate_of(made({{1, 2}, {1, 2}, {3, 3}})).spearman == Approx(1));  // equals share a rank
  CHECK(std::isnan(surrogate_of(made({{1, 2}})).spearman));
  CHECK(std::isnan(surrogate_of({}).bias));
  const std::vector<std::string> lines = frontier_lines(made({{1, 2}, {2, 4}}));
  REQUIRE(lines.size() == 3);
  CHECK_THAT(lines[0], ContainsSubstring("5, 6 bits: "));
  CHECK_THAT(lines[2], ContainsSubstring("2 choices: Spearman 1.000, bias -50.0 %"));
}
