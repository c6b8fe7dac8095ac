#include "cli/table.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace strata {
namespace {

std::string padded(const std::string& cell, Align align, std::size_t width) {
  const std::string blanks(width - std::min(columns_of(cell), width), ' ');
  return align == Align::left ? cell + blanks : blanks + cell;
}

}  // namespace

void Table::row(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  rows_.push_back({std::move(cells)});
}

void Table::command_row(std::string name, std::string command) {
  assert(columns_.size() == 2);
  rows_.push_back({{std::move(name), std::move(command)}, true});
}

std::string Table::print(std::size_t width) const {
  std::vector<std::size_t> widths(columns_.size());
  for (const Row& row : rows_)
    for (std::size_t i = 0; i < row.cells.size(); ++i) widths[i] = std::max(widths[i], columns_of(row.cells[i]));
  std::string text;
  for (const Row& row : rows_) text += print_row(row, widths, width);
  return text;
}

std::string Table::print_row(const Row& row, const std::vector<std::size_t>& widths, std::size_t width) const {
  constexpr std::size_t narrowest = 24, hanging = 4;
  const std::size_t last = columns_.size() - 1;
  std::string line;
  std::size_t used = 0;  // columns before the last cell
  for (std::size_t i = 0; i < last; used += widths[i++] + 2)
    line += padded(row.cells[i], columns_[i], widths[i]) + "  ";
  const std::string& cell = row.cells[last];
  if (columns_[last] == Align::right) {
    line += padded(cell, Align::right, widths[last]);
  } else if (row.whole || columns_of(cell) <= width - std::min(used, width)) {
    line += cell;
  } else if (width >= used + narrowest) {
    line += wrapped(cell, width, used);
  } else {
    line.erase(line.find_last_not_of(' ') + 1);
    for (const std::string& part : wrapped_lines(cell, width - std::min(hanging, width)))
      line += "\n" + std::string(hanging, ' ') + part;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace strata
