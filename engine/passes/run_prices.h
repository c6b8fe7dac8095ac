// The prices of a run, from the scores of its probe.
#pragma once

#include "engine/plan/menu.h"
#include "engine/prices/prices.h"

namespace strata {

class Desk;

// For passes without layers that read facts::scores. Keeps them as prices.json in the work folder.
Prices price_menu(const Desk& desk, const Menu& menu);

}  // namespace strata
