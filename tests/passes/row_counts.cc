#include "tests/passes/row_counts.h"

#include <sstream>

namespace strata::test {

std::string print_counts(const RowCounts& counts) {
  std::string text;
  for (const auto& [module, columns] : counts.columns) text += module + " " + std::to_string(columns) + "\n";
  return text;
}

std::optional<RowCounts> parse_counts(std::string_view text) {
  RowCounts counts;
  std::istringstream in{std::string(text)};
  std::string module;
  for (std::size_t columns = 0; in >> module >> columns;) counts.columns[module] = columns;
  return counts;
}

extern const Keeping row_counts_keeping{keeping_by<RowCounts, print_counts, parse_counts>};

}  // namespace strata::test
