// What is said of a budget that cannot be met.
#pragma once

#include "engine/plan/request.h"
#include "engine/prices/prices.h"

namespace strata {

// Error{usage} with the smallest budget that works and the units that force most of it. Prices need no costs.
[[noreturn]] void refuse_budget(const Prices& prices, const MixedRequest& asked);

}  // namespace strata
