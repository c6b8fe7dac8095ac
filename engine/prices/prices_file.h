// prices.json: docs/records.md has every key.
#pragma once

#include <string>

#include "engine/prices/prices.h"

namespace strata {

std::string prices_json(const Prices& prices);

// What a file says. It is not trusted: broken JSON, another version, a number that is none, a unit without members or
// with an unknown format is Error{input} that begins with the path and names the place.
Prices read_prices(const std::string& path);

}  // namespace strata
