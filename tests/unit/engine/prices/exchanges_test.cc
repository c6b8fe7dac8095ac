// Exchanges around a choice, by made-up prices: each against a reference that tries every way to make room.
#include "engine/prices/exchanges.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "tests/unit/engine/prices/made_prices.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;

namespace {

Prices random_prices(std::mt19937& random) {
  std::uniform_real_distribution<double> cost(0.1, 10), error(0, 1);
  std::uniform_int_distribution<std::uint64_t> parameters(1, 40);
  std::vector<PricedUnit> units;
  for (int u = 0; u < 5; ++u)
    units.push_back(made_unit(fmt::format("u{}", u), cost(random), error(random), 100 * parameters(random)));
  return made_prices(std::move(units));
}

// The least loss of one unit to an option of fewer bytes that makes room; infinite where none does.
double best_single(const Prices& prices, const Allocation& base, std::size_t unit, std::uint64_t need) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t v = 0; v < prices.units.size(); ++v) {
    const PricedOption& now = prices.units[v].options[base.option[v]];
    for (const PricedOption& option : prices.units[v].options)
      if (v != unit && option.bytes + need <= now.bytes) least = std::min(least, option.output.cost - now.output.cost);
  }
  return least;
}

// Whether any choice of the others below what they are makes room.
bool possible(const Prices& prices, const Allocation& base, std::size_t unit, std::uint64_t need) {
  std::uint64_t freed = 0;
  for (std::size_t v = 0; v < prices.units.size(); ++v)
    if (v != unit)
      freed += prices.units[v].options[base.option[v]].bytes -
               prices.units[v].options[smallest_option(prices.units[v])].bytes;
  return freed >= need;
}

}  // namespace

TEST_CASE("an exchange raises one unit, lowers others, keeps the budget and loses no more than the best single one") {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> bits(4.7, 15.5);
  std::size_t with_several = 0;
  for (int round = 0; round < 100; ++round) {
    const Prices prices = random_prices(random);
    const Allocation base = allocate(prices, {.bits = bits(random)});
    const std::vector<Exchange> all = best_exchanges(prices, base, PriceRule::output, 1000);
    std::set<std::vector<std::uint32_t>> different;
    std::size_t ups = 0;
    for (std::size_t u = 0; u < prices.units.size(); ++u) {
      const PricedOption& now = prices.units[u].options[base.option[u]];
      for (const PricedOption& option : prices.units[u].options) {
        if (option.bytes <= now.bytes || option.output.cost >= now.output.cost) continue;
        const std::uint64_t more = option.bytes - now.bytes, room = base.budget - base.bytes;
        ups += more <= room || possible(prices, base, u, more - room) ? 1 : 0;
      }
    }
    CHECK(all.size() == ups);
    for (const Exchange& exchange : all) {
      const Allocation changed = allocation_of(prices, after(base, exchange));
      CHECK(different.insert(changed.option).second);
      CHECK(changed.bytes <= base.budget);
      CHECK(changed.cost - base.cost == Approx(exchange.change).margin(1e-12));
      const std::size_t up = exchange.units.front();
      const PricedOption &now = prices.units[up].options[base.option[up]],
                         &then = prices.units[up].options[exchange.option.front()];
      REQUIRE(then.bytes > now.bytes);
      for (std::size_t i = 1; i < exchange.units.size(); ++i) {
        const PricedUnit& unit = prices.units[exchange.units[i]];
        CHECK(unit.options[exchange.option[i]].bytes < unit.options[base.option[exchange.units[i]]].bytes);
      }
      const std::uint64_t need = then.bytes - now.bytes - std::min(base.budget - base.bytes, then.bytes - now.bytes);
      const double loss = exchange.change - (then.output.cost - now.output.cost);
      if (need > 0) CHECK(loss <= best_single(prices, base, up, need) + 1e-12);
      if (exchange.units.size() > 2) ++with_several;
    }
    CHECK(std::ranges::is_sorted(all, std::ranges::greater(), &Exchange::expected_gain));
    const std::vector<Exchange> two = best_exchanges(prices, base, PriceRule::output, 2);
    CHECK(two.size() == std::min<std::size_t>(2, all.size()));
    for (std::size_t i = 0; i < two.size(); ++i) CHECK(two[i].option == all[i].option);
  }
  CHECK(with_several > 10);
}

TEST_CASE("the expected gain is the mean of what is better, by a sum over the normal density") {
  for (const auto& [change, error] : {std::pair(0.5, 1.0), {-0.3, 0.2}, {2.0, 0.5}, {0.0, 1.0}}) {
    double sum = 0;
    constexpr int steps = 200'000;
    for (int i = 0; i < steps; ++i) {
      const double z = -10 + 20 * (i + 0.5) / steps;
      sum += std::max(-(change + error * z), 0.0) * std::exp(-z * z / 2) / std::sqrt(2 * 3.14159265358979) * 20 / steps;
    }
    CHECK(Exchange{.change = change, .error = error}.expected_gain() == Approx(sum).margin(1e-8));
  }
  CHECK(Exchange{.change = 0.5}.expected_gain() == -0.5);  // nothing is known of the error
  const Prices prices = made_prices({made_unit("a", 10, 1), made_unit("b", 8, 1)});
  const Allocation base = allocate(prices, {.bits = 8});
  REQUIRE(base.option == std::vector<std::uint32_t>{1, 0});
  const std::vector<Exchange> all = best_exchanges(prices, base, PriceRule::output, 9);
  REQUIRE(all.size() == 1);  // b to 8 bits and a down; to 16 bits there is no room for either
  CHECK(all.front().change == Approx(9 - 7.2));
  CHECK(all.front().error == Approx(std::hypot(0.9, 0.9)));
  CHECK(exchange_text(prices, base, all.front()) == "b NVFP4A16 to MXFP8A16, a MXFP8A16 to NVFP4A16");
}
