// Rows of text in columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/wrap.h"

namespace strata {

enum class Align : std::uint8_t { left, right };

class Table {
 public:
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells);  // as many cells as columns
  // A row that is one line at any width: a command that is copied and pasted.
  void command_row(std::string name, std::string command);
  // Two spaces between columns, no trailing spaces. Where a row is wider than `width`, its last cell continues on
  // further lines of the same column, or in lines of their own where that column would be too narrow to read.
  std::string print(std::size_t width = unlimited_width) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    bool whole = false;  // never wrapped
  };

  std::string print_row(const Row& row, const std::vector<std::size_t>& widths, std::size_t width) const;

  std::vector<Align> columns_;
  std::vector<Row> rows_;
};

}  // namespace strata
