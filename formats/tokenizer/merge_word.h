// Byte pair encoding of one word.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/tokenizer/merge_table.h"

namespace strata::tokenizer {

// Merges neighbouring symbols, lowest rank first, leftmost first among equals, until none merges.
// In place; O(n log n) in the number of symbols.
void merge_symbols(std::vector<std::int32_t>& symbols, const MergeTable& merges);

}  // namespace strata::tokenizer
