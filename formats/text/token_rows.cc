#include "formats/text/token_rows.h"

#include <algorithm>
#include <span>

#include "base/hash.h"

namespace strata {

void seal(TokenRows& rows) {
  const std::vector<std::int64_t> shape = {rows.rows, rows.columns};
  rows.hash = Hasher()
                  .add(std::as_bytes(std::span(shape)))
                  .add(std::as_bytes(std::span(rows.ids)))
                  .add(std::as_bytes(std::span(rows.lengths)))
                  .hex();
}

TokenRows make_rows(const std::vector<std::vector<TokenId>>& rows) {
  TokenRows out;
  out.rows = static_cast<std::int64_t>(rows.size());
  std::size_t columns = 0;
  for (const auto& row : rows) columns = std::max(columns, row.size());
  out.columns = static_cast<std::int64_t>(columns);
  out.ids.reserve(rows.size() * columns);
  for (const auto& row : rows) {
    out.ids.insert(out.ids.end(), row.begin(), row.end());
    out.ids.resize(out.ids.size() + columns - row.size(), 0);
    out.lengths.push_back(static_cast<std::int64_t>(row.size()));
  }
  seal(out);
  return out;
}

}  // namespace strata
