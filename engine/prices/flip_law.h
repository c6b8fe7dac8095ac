// What tokens that change experts add to the price of an assignment:
//   KL(A) = Q(A) + sqrt( sum over units of R(u, f)^2 ),    R(u, f) = R(u, low) sqrt( Q(u, f) / Q(u, low) )
// where Q are prices and R(u, low), the jump, is measured. docs/method.md, "Where tokens change experts".
#pragma once

#include <cstddef>
#include <string>

#include "engine/prices/prices.h"

namespace strata {

// Of a unit in one of its options, nats a token; 0 where no token changes experts behind it. `errors`: how many
// standard errors of it count beside it.
double jump_of(const PricedUnit& unit, std::size_t option, double errors = 0);

bool has_jumps(const Prices& prices);

// What was tried alone and what was seen of it, for people; "" where nothing was.
std::string jumps_text(const Prices& prices);

}  // namespace strata
