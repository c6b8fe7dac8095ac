// Which exchanges are taken: p-values against sums over the density, and the rule on moves made by hand.
#include "engine/measure/move_choice.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>

using namespace strata;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

// By the midpoint rule over x = t / (1 + t).
double tail_by_sum(double t, double degrees) {
  const double scale =
      std::exp(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2)) / std::sqrt(degrees * 3.14159265358979);
  constexpr int steps = 400'000;
  const double first = t / (1 + t);
  double sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double x = first + (1 - first) * (i + 0.5) / steps, at = x / (1 - x);
    sum += scale * std::pow(1 + at * at / degrees, -(degrees + 1) / 2) / ((1 - x) * (1 - x)) * (1 - first) / steps;
  }
  return sum;
}

MoveRecord move(double select, double confirm, std::int64_t bytes, std::vector<std::size_t> units) {
  return {.select = {select, 0.1}, .confirm = {confirm, 0.1}, .bytes = bytes, .units = std::move(units)};
}

using Taken = std::vector<std::size_t>;

}  // namespace

TEST_CASE("p is the tail of Student's t") {
  for (const int degrees : {1, 2, 3, 4, 7, 20, 61})
    for (const double t : {0.0, 0.5, 1.7, 2.9, 6.0}) {
      INFO(degrees << " " << t);
      CHECK(upper_tail(t, degrees) == Approx(tail_by_sum(t, degrees)).epsilon(1e-5));
      CHECK(upper_tail(-t, degrees) == Approx(1 - tail_by_sum(t, degrees)).epsilon(1e-5));
    }
  CHECK(upper_tail(2.086, 20) == Approx(0.025).epsilon(1e-3));  // as tables have it
  CHECK(upper_tail(12.706, 1) == Approx(0.025).epsilon(1e-3));
  CHECK(p_value(move(1, 0.2086, 0, {}), 21) == Approx(0.025).epsilon(1e-3));
  CHECK(p_value(move(1, 1, 0, {}), 1) == 1);
  MoveRecord unknown = move(1, 1, 0, {});
  unknown.confirm.standard_error = std::numeric_limits<double>::quiet_NaN();
  CHECK(p_value(unknown, 9) == 1);
}

TEST_CASE("what is tried divides what is believed") {
  // t = 3 with 20 degrees of freedom: p = .0035.
  std::vector<MoveRecord> moves = {move(1, 0.3, 0, {0, 1})};
  CHECK(confirmed_moves(moves, 21, 0) == Taken{0});
  for (std::size_t i = 1; i < 14; ++i) moves.push_back(move(-1, -1, 0, {2 * i, 2 * i + 1}));
  CHECK(confirmed_moves(moves, 21, 0) == Taken{0});  // .05 / 14 = .00357
  moves.push_back(move(-1, -1, 0, {90, 91}));
  CHECK(confirmed_moves(moves, 21, 0).empty());  // .05 / 15 = .00333
  CHECK(confirmed_moves(moves, 21, 0, 0.06) == Taken{0});
}

TEST_CASE("moves are taken that gain on both, that share no unit and keep the budget") {
  const std::vector<MoveRecord> moves = {move(0.2, 1, 10, {0, 1}), move(0.5, 1, 10, {1, 2}), move(-0.1, 1, 0, {3, 4}),
                                         move(0.1, 0, 0, {5, 6}),  move(0.1, 1, 15, {7, 8}), move(0.1, 1, -5, {9})};
  CHECK(confirmed_moves(moves, 30, 100) == Taken{1, 4, 5});
  CHECK(confirmed_moves(moves, 30, 24) == Taken{1, 5});  // 14 are left for one of 15
  CHECK(confirmed_moves(moves, 30, 25) == Taken{1, 4, 5});
  CHECK(confirmed_moves({}, 30, 25).empty());
}

TEST_CASE("lines say what became of each move") {
  const std::vector<std::string> lines = move_lines(
      std::vector<MeasuredMove>{{.name = "a BF16 to NVFP4", .bytes = -7, .p = 0.001, .taken = true}, {.name = "b"}});
  REQUIRE(lines.size() == 3);
  CHECK_THAT(lines[0], ContainsSubstring("a BF16 to NVFP4: -7 bytes") && ContainsSubstring("p 0.001: taken"));
  CHECK_THAT(lines[1], ContainsSubstring(": not taken"));
  CHECK(lines[2] == "2 exchanges tried, 1 taken");
}
