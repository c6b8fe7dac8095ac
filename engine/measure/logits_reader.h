// Who receives the logits of a forward, as they are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace strata {

// Logits of positions [first, first + count), flat over [rows, columns] of the tokens, and of vocabulary entries
// [column, column + columns): one span [count, columns] a lane. All columns come for every position, in order;
// different positions by different threads at once.
struct LogitsPiece {
  std::int64_t first = 0, count = 0;
  std::int64_t column = 0, columns = 0;
  std::span<const std::span<const float>> lanes;
};

class LogitsReader {
 public:
  virtual ~LogitsReader() = default;
  virtual void read(const LogitsPiece& piece) = 0;
  virtual void done() {}  // all have come; what the forward kept to go on with goes when this returns
};

}  // namespace strata
