#include "cli/table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace strata {

void Table::row(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::print() const {
  std::vector<std::size_t> widths(columns_.size());
  for (const std::vector<std::string>& cells : rows_)
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  std::string text;
  for (const std::vector<std::string>& cells : rows_) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      line += columns_[i] == Align::left ? fmt::format("{:<{}}", cells[i], widths[i])
                                         : fmt::format("{:>{}}", cells[i], widths[i]);
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace strata
