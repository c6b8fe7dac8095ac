// Where tokens change experts: what is predicted, and that the choice is the best of all, tried one by one.
#include "engine/prices/flip_law.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "engine/prices/allocation.h"
#include "engine/prices/price_tables.h"
#include "tests/support/thrown.h"
#include "tests/unit/engine/prices/made_prices.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

using Chosen = std::vector<std::uint32_t>;

FlipJump jump_in(const PricedUnit& unit, std::size_t option, double nats, double error) {
  return {.format = unit.options[option].format, .nats = nats, .standard_error = error};
}

// As docs/method.md has it, without the code that is tested.
double law(const Prices& prices, const Chosen& chosen) {
  double price = 0, squares = 0;
  for (std::size_t u = 0; u < chosen.size(); ++u) {
    const PricedUnit& unit = prices.units[u];
    const double cost = unit.options[chosen[u]].output.cost;
    price += cost;
    if (unit.jump) squares += unit.jump->nats * unit.jump->nats * cost / unit.options[0].output.cost;
  }
  return price + std::sqrt(squares);
}

// All assignments, one after the other.
double least_by_trying(const Prices& prices, std::uint64_t budget) {
  double least = std::numeric_limits<double>::infinity();
  std::size_t all = 1;
  for (const PricedUnit& unit : prices.units) all *= unit.options.size();
  for (std::size_t code = 0; code < all; ++code) {
    Chosen chosen;
    std::uint64_t bytes = 0;
    std::size_t rest = code;
    for (const PricedUnit& unit : prices.units) {
      chosen.push_back(static_cast<std::uint32_t>(rest % unit.options.size()));
      rest /= unit.options.size();
      bytes += unit.options[chosen.back()].bytes;
    }
    if (bytes <= budget) least = std::min(least, law(prices, chosen));
  }
  return least;
}

}  // namespace

TEST_CASE("jumps grow as the root of the price, from the format that they were measured in") {
  PricedUnit unit = made_unit("a", 4, 1);
  CHECK(jump_of(unit, 0) == 0);
  unit.jump = jump_in(unit, 0, 3, 0.5);
  CHECK(jump_of(unit, 0) == Approx(3));
  CHECK(jump_of(unit, 1) == Approx(3 * std::sqrt(0.1)));
  CHECK(jump_of(unit, 2) == 0);  // the source itself
  CHECK(jump_of(unit, 0, 2) == Approx(4));
  unit.jump = jump_in(unit, 1, 3, 0.5);
  CHECK(jump_of(unit, 0) == Approx(3 * std::sqrt(10)));
  unit.options[1].output.cost = 0;
  CHECK(jump_of(unit, 0) == 0);  // there is no root to go by
}

TEST_CASE("jumps add up as lengths at right angles, and so do their errors") {
  Prices prices = made_prices({made_unit("a", 1, 0), made_unit("b", 1, 0), made_unit("c", 2, 0.1)});
  prices.units[0].jump = jump_in(prices.units[0], 0, 3, 0.5);
  prices.units[1].jump = jump_in(prices.units[1], 0, 4, 0.25);
  const Allocation all = allocation_of(prices, {0, 0, 0});
  CHECK(all.jumps == Approx(5));
  CHECK(all.cost == Approx(4 + 5));
  // d sqrt(9 + 16) = (3 d3 + 4 d4) / 5
  CHECK(all.standard_error == Approx(std::sqrt(0.1 * 0.1 + 0.3 * 0.3 + 0.2 * 0.2)));
  CHECK(all.bytes == 3 * 562);
  CHECK(allocation_of(prices, {2, 2, 0}).jumps == 0);
  CHECK(has_jumps(prices));
  const std::string table = costs_csv(prices, all);
  CHECK_THAT(table, ContainsSubstring("\nb,1,NVFP4A16,562,1,0,0,0,4,yes,") &&
                        ContainsSubstring("\nb,1,BF16,2000,0,0,0,0,0,,"));
}

TEST_CASE("the choice is the best of all assignments") {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> any(0, 1);
  for (int instance = 0; instance < 60; ++instance) {
    std::vector<PricedUnit> units;
    for (int u = 0; u < 7; ++u) {
      const auto parameters = static_cast<std::uint64_t>(500 + 4000 * any(random));
      PricedUnit& unit =
          units.emplace_back(made_unit("u" + std::to_string(u), std::pow(10, -3 * any(random)), 0, parameters));
      if (any(random) < 0.8) unit.jump = jump_in(unit, 0, std::pow(10, 1 - 3 * any(random)), 0);
    }
    const Prices prices = made_prices(std::move(units));
    for (const double bits : {4.5, 5.0, 6.0, 7.5, 9.0, 12.0}) {
      INFO(instance << ", " << bits);
      const Allocation found = allocate(prices, {.bits = bits});
      const double least = least_by_trying(prices, found.budget);
      CHECK(found.bytes <= found.budget);
      CHECK(found.cost == Approx(law(prices, found.option)));
      CHECK(found.cost <= least * (1 + 1e-5));
      CHECK(found.gap >= 0);
      CHECK(found.cost - found.gap <= least * (1 + 1e-9));  // what is said to be the bound is one
      CHECK(found.gap <= found.cost * 1e-3);
    }
  }
}

TEST_CASE("risk counts errors of jumps too, and the classical price knows none") {
  Prices prices = made_prices({made_unit("a", 1, 0), made_unit("b", 1.2, 0)});
  prices.units[0].jump = jump_in(prices.units[0], 0, 0.5, 0.5);
  prices.units[1].jump = jump_in(prices.units[1], 0, 0.5, 0);
  CHECK(allocate(prices, {.bits = 7}).option == Chosen{0, 1});
  CHECK(allocate(prices, {.bits = 7, .risk = 3}).option == Chosen{1, 0});
  for (PricedUnit& unit : prices.units)
    for (PricedOption& option : unit.options) option.fisher_trace = option.output;
  prices.units[0].options[0].fisher_trace.cost = 9;
  const Allocation by_trace = allocate(prices, {.bits = 7, .price = PriceRule::fisher_trace});
  CHECK(by_trace.option == Chosen{1, 0});
  CHECK(by_trace.cost == Approx(law(prices, by_trace.option)));
  prices.units[0].jump->standard_error = std::numeric_limits<double>::infinity();
  CHECK_THAT(thrown_by([&] { allocate(prices, {.bits = 7, .risk = 1}); }).what(),
             ContainsSubstring("the prices of a have no standard error"));
}
