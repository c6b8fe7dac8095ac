// Rows of text in columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strata {

enum class Align : std::uint8_t { left, right };

class Table {
 public:
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells);  // as many cells as columns
  // Two spaces between columns, no trailing spaces.
  std::string print() const;

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace strata
