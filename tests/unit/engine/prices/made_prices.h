// Prices that a test makes up.
#pragma once

#include <utility>
#include <vector>

#include "engine/prices/prices.h"

namespace strata::test {

// NVFP4A16, MXFP8A16 and BF16 of 1000 parameters, by what the first costs; the second costs a tenth.
inline PricedUnit made_unit(std::string name, double cost, double error, std::uint64_t parameters = 1000) {
  PricedUnit unit{.name = std::move(name), .visit = "layer 0", .kind = "mlp", .linears = 1, .parameters = parameters};
  const auto add = [&](const char* format, std::uint64_t bytes, double share) {
    unit.options.push_back({&require_number_format(format), bytes, {share * cost, share * error}, {}});
  };
  add("NVFP4A16", parameters * 9 / 16, 1);
  add("MXFP8A16", parameters * 33 / 32, 0.1);
  add("BF16", parameters * 2, 0);
  return unit;
}

inline Prices made_prices(std::vector<PricedUnit> units, std::uint64_t others = 500) {
  Prices prices{.tokens = 640, .sequences = 10, .probes = 8, .other_bytes = others, .units = std::move(units)};
  prices.made_from.add("source", "1a2b");
  prices.made_from.add("--formats", "NVFP4A16,\"BF16\"\n*.x");
  for (std::size_t u = 0; u < prices.units.size(); ++u)
    prices.linears.push_back({.module = prices.units[u].name, .unit = u});
  prices.linears.push_back(
      {.module = "lm_head", .format = &require_number_format("KEEP"), .why = "kept unless it is asked for"});
  return prices;
}

}  // namespace strata::test
