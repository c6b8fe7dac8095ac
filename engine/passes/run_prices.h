// The prices of a run, from the scores of its probe.
#pragma once

#include <string>

#include "engine/plan/menu.h"
#include "engine/prices/prices.h"

namespace strata {

class Desk;

struct RunPrices {
  Prices prices;
  std::string unseen;  // what is to be said of units that no token reached; "" where there are none
};

// For passes without layers that read facts::scores and use facts::flip_divergences. Keeps the prices as prices.json in
// the work folder. Units that no token reached are taken out of the prices and out of the menu.
RunPrices price_menu(const Desk& desk, Menu& menu);

}  // namespace strata
