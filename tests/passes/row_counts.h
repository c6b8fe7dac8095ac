// A fact of the pass beside it: how many tokens reached the Linears of a layer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/graph/fact.h"

namespace strata::test {

struct RowCounts {
  std::map<std::string, std::size_t> columns;  // of each Linear of which something was learnt: how many columns
};

std::string print_counts(const RowCounts& counts);
std::optional<RowCounts> parse_counts(std::string_view text);
extern const Keeping row_counts_keeping;

inline constexpr Fact<RowCounts> row_counts{{.name = "row_counts", .life = Life::run, .keeping = &row_counts_keeping}};

}  // namespace strata::test
