// The knapsack against trying everything.
#include "engine/solver/knapsack.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>
#include <random>

#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;

namespace {

// The least loss within the budget, by trying every choice; infinity when nothing fits.
double by_trying_all(const std::vector<KnapsackItem>& items, std::uint64_t budget) {
  double best = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> option(items.size(), 0);
  while (true) {
    std::uint64_t bytes = 0;
    double loss = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      bytes += items[i].options[option[i]].bytes;
      loss += items[i].options[option[i]].loss;
    }
    if (bytes <= budget) best = std::min(best, loss);
    std::size_t i = 0;
    while (i < items.size() && ++option[i] == items[i].options.size()) option[i++] = 0;
    if (i == items.size()) return best;
  }
}

// Options as formats give them: fewer bytes, more loss, but for some that make no sense.
std::vector<KnapsackItem> draw(std::mt19937& random, std::size_t count, std::size_t options) {
  std::vector<KnapsackItem> items(count);
  std::uniform_real_distribution<double> unit;
  for (KnapsackItem& item : items) {
    const auto size = 1 + random() % 1000;
    const double weight = std::exp(6 * unit(random));
    const std::size_t mine = 1 + random() % options;
    for (std::size_t i = 0; i < mine; ++i) {
      const std::uint64_t bits = 2 + random() % 15;
      item.options.push_back({size * bits, weight * std::exp2(-static_cast<double>(bits)) * (0.5 + unit(random))});
    }
  }
  return items;
}

void require_within(const std::vector<KnapsackItem>& items, const KnapsackChoice& choice, std::uint64_t budget) {
  std::uint64_t bytes = 0;
  double loss = 0;
  REQUIRE(choice.option.size() == items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    bytes += items[i].options.at(choice.option[i]).bytes;
    loss += items[i].options[choice.option[i]].loss;
  }
  CHECK(bytes == choice.bytes);
  CHECK(bytes <= budget);
  CHECK(loss == Approx(choice.loss).epsilon(1e-12));
}

}  // namespace

TEST_CASE("the knapsack finds what trying everything finds, at every budget") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::vector<KnapsackItem> items = draw(random, 1 + random() % 7, 5);
    const Knapsack knapsack(items);
    std::uint64_t most = 0;
    for (const KnapsackItem& item : items) most += std::ranges::max(item.options, {}, &KnapsackOption::bytes).bytes;
    CHECK_FALSE(knapsack.solve(knapsack.least_bytes() - 1));
    for (int i = 0; i < 12; ++i) {
      const std::uint64_t budget = knapsack.least_bytes() + random() % (most - knapsack.least_bytes() + 2);
      const std::optional<KnapsackChoice> choice = knapsack.solve(budget);
      REQUIRE(choice);
      require_within(items, *choice, budget);
      CHECK(choice->loss == Approx(by_trying_all(items, budget)).epsilon(1e-9));
      CHECK(choice->gap() == 0);
    }
  }
}

TEST_CASE("a search that is cut short says how far it may be off") {
  std::mt19937 random(11);
  const std::vector<KnapsackItem> items = draw(random, 7, 5);
  const Knapsack knapsack(items);
  for (std::uint64_t more = 0; more < 20'000; more += 997) {
    const std::uint64_t budget = knapsack.least_bytes() + more;
    const std::optional<KnapsackChoice> choice = knapsack.solve(budget, 1);
    REQUIRE(choice);
    require_within(items, *choice, budget);
    const double best = by_trying_all(items, budget);
    CHECK(choice->loss >= best * (1 - 1e-12));
    CHECK(choice->bound <= best * (1 + 1e-12));
  }
}

TEST_CASE("thousands of items leave next to no gap, and more budget never loses") {
  std::mt19937 random(3);
  const std::vector<KnapsackItem> items = draw(random, 3000, 5);
  const Knapsack knapsack(items);
  const std::vector<KnapsackPoint> frontier = knapsack.frontier();
  double before = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < frontier.size(); i += 500) {
    const std::uint64_t budget = frontier[i].bytes + 37;
    const std::optional<KnapsackChoice> choice = knapsack.solve(budget);
    REQUIRE(choice);
    require_within(items, *choice, budget);
    CHECK(choice->loss <= frontier[i].loss * (1 + 1e-12));
    CHECK(choice->loss <= before);
    CHECK(choice->gap() <= 1e-4 * choice->loss);
    before = choice->loss;
  }
}

TEST_CASE("an item that cannot be chosen is an error") {
  CHECK(thrown_by([] { Knapsack({KnapsackItem{}}); }).fault == Fault::bug);
  CHECK(thrown_by([] {
          Knapsack({{.options = {{1, std::numeric_limits<double>::quiet_NaN()}}}});
        }).fault == Fault::bug);
}
