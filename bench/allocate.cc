// bench_allocate [UNITS]: how long it takes to give made-up units their formats, and how far from the best the result
// may be, at nine budgets. Sizes of a few kinds, as layers have them, and all different.
#include <fmt/core.h>

#include <cmath>
#include <random>
#include <string>

#include "base/memory.h"
#include "base/timer.h"
#include "engine/solver/knapsack.h"

using namespace strata;

static std::vector<KnapsackItem> made_up(std::size_t count, bool layers) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> unit;
  std::vector<KnapsackItem> items(count);
  for (KnapsackItem& item : items) {
    const std::uint64_t size = layers ? (std::uint64_t{1} << 20) * (1 + random() % 4) : 1000 + random() % 10'000'000;
    const double weight = std::exp(8 * unit(random));
    for (const double bits : {4.5, 6.25, 8.25, 8.5, 16.0})  // NVFP4, MXFP6, MXFP8, FP8_BLOCK, BF16 and the like
      item.options.push_back({.bytes = static_cast<std::uint64_t>(static_cast<double>(size) * bits / 8),
                              .loss = weight * std::exp2(-2 * bits) * (0.7 + 0.6 * unit(random))});
  }
  return items;
}

int main(int count, char** arguments) {
  const std::size_t units = count > 1 ? std::stoull(arguments[1]) : 100'000;
  for (const bool layers : {false, true}) {
    const Timer building;
    const Knapsack knapsack(made_up(units, layers));
    fmt::print("{} units, sizes {}: built in {:.2f} s\n", units, layers ? "of four kinds" : "all different",
               building.seconds());
    const std::vector<KnapsackPoint> frontier = knapsack.frontier();
    const std::uint64_t least = frontier.front().bytes, most = frontier.back().bytes;
    for (int tenth = 1; tenth < 10; ++tenth) {
      const std::uint64_t budget = least + (most - least) / 10 * static_cast<std::uint64_t>(tenth);
      const Timer solving;
      const std::optional<KnapsackChoice> choice = knapsack.solve(budget);
      fmt::print("  budget {:3.0f} %: {:.2f} s, gap {:.1e} of the loss, {} bytes left\n", 10.0 * tenth,
                 solving.seconds(), choice->gap() / choice->loss, budget - choice->bytes);
    }
  }
  fmt::print("peak memory {} MiB\n", peak_resident_bytes() >> 20);
}
