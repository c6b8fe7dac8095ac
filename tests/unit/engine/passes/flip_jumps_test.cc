// Jumps from divergences and prices of the same windows, by hand.
#include "engine/passes/flip_jumps.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>

#include "engine/passes/flip_lanes.h"
#include "engine/prices/flip_law.h"
#include "tests/support/source_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

// Two units of attention and two of experts, whose smallest encoding is the second option.
struct Fixture {
  std::vector<LinearSpec> linears;
  Menu menu;
  Prices prices;
  std::vector<std::vector<double>> windows;  // of each unit: what its price is in each

  Fixture() {
    linears.resize(4);
    for (std::size_t u = 0; u < 4; ++u) {
      linears[u].module = "u" + std::to_string(u);
      const NumberFormat *large = &require_number_format("MXFP8"), *small = &require_number_format("NVFP4"),
                         *source = &require_number_format("BF16");
      menu.units.push_back({.visit = u, .members = {&linears[u]}, .parameters = 1000, .options = {}});
      menu.units[u].options = {{large, 1031, false}, {small, 562, false}, {source, 400, true}};
      PricedUnit& unit = prices.units.emplace_back(
          PricedUnit{.name = linears[u].module, .visit = "", .kind = u < 2 ? "attention" : "experts", .options = {}});
      for (const MenuOption& option : menu.units[u].options)
        unit.options.push_back({option.format, option.bytes, {}, {}});
      windows.push_back({1, 2, 3});
      unit.options[1].output.cost = u == 1 ? 4.0 : 1.0;
    }
  }

  void set(const FlipDivergences& flips) {
    set_jumps(prices, menu, flips, [&](std::size_t unit, std::size_t option) {
      CHECK(option == 1);
      return windows[unit];
    });
  }
};

}  // namespace

TEST_CASE("a jump is what windows cost beyond their price, and its error is over windows") {
  Fixture fixture;
  // Differences 9, 10, 11 over 10 tokens each: mean 1, off by -1, 0, 1.
  fixture.set({.tokens = {10, 10, 10}, .lanes = {{{"u0"}, "NVFP4", {10, 12, 14}}}});
  REQUIRE(fixture.prices.units[0].jump);
  const FlipJump& jump = *fixture.prices.units[0].jump;
  CHECK(jump.format->name == "NVFP4");
  CHECK(jump.nats == Approx(1));
  CHECK(jump.standard_error == Approx(std::sqrt(2 * 3.0 / 2) / 30));
  CHECK_FALSE(jump.pooled);
  CHECK(jump.together == 1);
  CHECK_FALSE(fixture.prices.units[1].jump);
}

TEST_CASE("windows of different lengths count by their tokens") {
  Fixture fixture;
  // Differences 5 of 10 tokens and 10 of 20: half a nat a token in both.
  fixture.windows[0] = {1, 2};
  fixture.set({.tokens = {10, 20}, .lanes = {{{"u0"}, "NVFP4", {6, 12}}}});
  CHECK(fixture.prices.units[0].jump->nats == Approx(0.5));
  CHECK(fixture.prices.units[0].jump->standard_error == Approx(0).margin(1e-12));
}

TEST_CASE("units that were tried together share a jump by the roots of their prices") {
  Fixture fixture;
  // Both prices go: 2 + 4 + 6 of 27.
  fixture.set({.tokens = {10, 10, 10}, .lanes = {{{"u0", "u1"}, "NVFP4", {7, 9, 11}}}});
  const double all = 0.5;
  const FlipJump &first = *fixture.prices.units[0].jump, &second = *fixture.prices.units[1].jump;
  CHECK(first.nats == Approx(all / std::sqrt(5)));
  CHECK(second.nats == Approx(all * 2 / std::sqrt(5)));
  CHECK(std::hypot(first.nats, second.nats) == Approx(all));  // as the law adds them up
  CHECK(first.together == 2);
}

TEST_CASE("what is below two standard errors is that of its kind for each root of price") {
  Fixture fixture;
  fixture.windows.assign(4, {0, 0, 0});
  // u0: 1, seen. u1: differences -30, 0, 60, mean 1, error sqrt(3 / 2 (40^2 + 10^2 + 50^2)) / 30 = 2.6: not seen.
  fixture.set(
      {.tokens = {10, 10, 10},
       .lanes = {{{"u0"}, "NVFP4", {10, 10, 10}}, {{"u1"}, "NVFP4", {-30, 0, 60}}, {{"u2"}, "NVFP4", {-5, -5, -5}}}});
  CHECK(fixture.prices.units[0].jump->nats == Approx(1));
  const FlipJump& pooled = *fixture.prices.units[1].jump;
  CHECK(pooled.pooled);
  CHECK(pooled.nats == Approx((1 + 1) / (1.0 + 2.0) * 2));
  CHECK(pooled.standard_error == Approx(std::sqrt(1.5 * (1600 + 100 + 2500)) / 30 / 3 * 2));
  // Experts: the only one gains, which is noise. Nothing of it comes from attention.
  CHECK(fixture.prices.units[2].jump->pooled);
  CHECK(fixture.prices.units[2].jump->nats == 0);
  CHECK_FALSE(fixture.prices.units[3].jump);
  CHECK(fixture.prices.flip_tokens == 30);
  CHECK_THAT(jumps_text(fixture.prices),
             ContainsSubstring("3 of 4 units tried in 3 lanes over 30 tokens; together they add 1.67 nats") &&
                 ContainsSubstring("; 2 whose"));
}

TEST_CASE("one window has no standard error, so that nothing is seen by itself") {
  Fixture fixture;
  fixture.windows.assign(4, {0});
  fixture.set({.tokens = {10}, .lanes = {{{"u0"}, "NVFP4", {20}}}});
  CHECK(fixture.prices.units[0].jump->pooled);
  CHECK(fixture.prices.units[0].jump->nats == Approx(2));
  CHECK(std::isinf(fixture.prices.units[0].jump->standard_error));
}

TEST_CASE("divergences of what has no price, or of other windows, are bugs") {
  Fixture fixture;
  CHECK(thrown_by([&] { fixture.set({.tokens = {10}, .lanes = {{{"x"}, "NVFP4", {1}}}}); }).fault == Fault::bug);
  CHECK(thrown_by([&] {
          fixture.set({.tokens = {1, 1, 1, 1}, .lanes = {{{"u0"}, "NVFP4", {1, 1, 1, 1}}}});
        }).fault == Fault::bug);
}

TEST_CASE("divergences are kept to the bit") {
  const FlipDivergences flips{.tokens = {3, 4}, .lanes = {{{"a", "b"}, "NVFP4", {1.0 / 3, -1e-300}}}};
  const std::string bytes = flip_divergences_keeping.save(&flips);
  const auto read = std::static_pointer_cast<FlipDivergences>(flip_divergences_keeping.load(bytes));
  REQUIRE(read != nullptr);
  CHECK(read->tokens == flips.tokens);
  REQUIRE(read->lanes.size() == 1);
  CHECK(read->lanes[0].units == flips.lanes[0].units);
  CHECK(read->lanes[0].format == "NVFP4");
  CHECK(read->lanes[0].sums == flips.lanes[0].sums);
  CHECK(flip_divergences_keeping.load("nothing of ours") == nullptr);
}
