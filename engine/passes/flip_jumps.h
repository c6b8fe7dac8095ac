// From divergences of units that were tried alone to the jumps of prices.
#pragma once

#include <functional>
#include <vector>

#include "engine/passes/flip_facts.h"
#include "engine/plan/menu.h"
#include "engine/prices/prices.h"

namespace strata {

// What the scores say of a unit in an option: the sum over the tokens of each sequence, nats.
using PriceOfWindows = std::function<std::vector<double>(std::size_t unit, std::size_t option)>;

// Sets the jumps of the units that were tried; `prices` has those of `menu`, in its order.
//   R = sum over windows of (KL - price) / tokens,    its standard error over windows
// for what was tried together, shared by the units of it in proportion to the root of their prices, as jumps grow. A
// unit whose jump is below two standard errors gets, for each root of its price, what all units of its kind have.
void set_jumps(Prices& prices, const Menu& menu, const FlipDivergences& flips, const PriceOfWindows& price_of);

}  // namespace strata
