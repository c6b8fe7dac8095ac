// Builds TokenRows.
#pragma once

#include <vector>

#include "formats/text/dataset.h"

namespace strata {

// Computes the hash of ids and lengths. Call it last.
void seal(TokenRows& rows);

// Pads to the longest with 0.
TokenRows make_rows(const std::vector<std::vector<TokenId>>& rows);

}  // namespace strata
