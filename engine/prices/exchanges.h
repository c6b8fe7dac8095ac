// Choices next to one that was made: a unit gets more bytes, and others give them up.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/prices/allocation.h"

namespace strata {

struct Exchange {
  std::vector<std::size_t> units;     // that change, the one that gets more bytes first
  std::vector<std::uint32_t> option;  // of each of them, after it
  double change = 0;                  // of the predicted loss, nats a token: more than 0 is worse
  double error = 0;                   // standard error of that; infinite where prices have none

  // By how much it is expected to be better where it is, times the probability of that.
  double expected_gain() const;
};

// One unit to an option of more bytes and less loss by `rule`, and as few others as it takes to options of fewer bytes,
// so that `base` stays within its budget; those that lose least. The `most` of largest expected gain, that first;
// equals in the order of units.
std::vector<Exchange> best_exchanges(const Prices& prices, const Allocation& base, PriceRule rule, std::size_t most);

std::vector<std::uint32_t> after(const Allocation& base, const Exchange& exchange);  // options of all units

// "model.layers.0.mlp.down_proj NVFP4 to MXFP8, model.layers.3.mlp.up_proj MXFP8 to NVFP4".
std::string exchange_text(const Prices& prices, const Allocation& base, const Exchange& exchange);

}  // namespace strata
