#include "engine/measure/measured_windows.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"

namespace strata {
namespace {

MeasuredWindows with_next(const TokenRows& rows, std::int64_t length, std::int64_t most_tokens,
                          const std::string& source) {
  MeasuredWindows windows;
  const std::int64_t columns = std::min(length, rows.columns - 1);
  if (columns < 1) fail(Fault::input, "{}: rows of {} ids have no next token", source, rows.columns);
  std::int64_t positions = 0;
  for (std::int64_t r = 0; r < rows.rows && positions < most_tokens; ++r) {
    const std::int64_t used =
        std::max<std::int64_t>(std::min(columns, rows.lengths[static_cast<std::size_t>(r)] - 1), 0);
    for (std::int64_t c = 0; c < columns; ++c) {
      windows.inputs.ids.push_back(rows.row(r)[c]);
      windows.next.push_back(c < used ? rows.row(r)[c + 1] : -1);
      windows.window.push_back(r);
    }
    windows.inputs.lengths.push_back(used);
    positions += used;
    ++windows.inputs.rows;
  }
  windows.inputs.columns = columns;
  windows.inputs.hash = rows.hash;
  return windows;
}

void check(const MeasuredWindows& windows, const ModelSpec& spec, const std::string& source) {
  check_tokens(windows.inputs, spec.vocabulary, spec.max_position, source);
  for (const TokenId id : windows.next)
    if (id >= spec.vocabulary)
      fail(Fault::input, "{}: token id {} is outside the vocabulary of {}", source, id, spec.vocabulary);
}

}  // namespace

MeasuredWindows some_of(const MeasuredWindows& windows, std::string_view name,
                        const std::function<bool(std::int64_t row)>& wanted) {
  MeasuredWindows some;
  const std::int64_t columns = some.inputs.columns = windows.inputs.columns;
  for (std::int64_t r = 0; r < windows.inputs.rows; ++r) {
    if (!wanted(r)) continue;
    const std::int64_t first = r * columns, end = first + columns;
    some.inputs.ids.insert(some.inputs.ids.end(), windows.inputs.ids.begin() + first, windows.inputs.ids.begin() + end);
    some.next.insert(some.next.end(), windows.next.begin() + first, windows.next.begin() + end);
    some.window.insert(some.window.end(), windows.window.begin() + first, windows.window.begin() + end);
    some.inputs.lengths.push_back(windows.inputs.lengths[static_cast<std::size_t>(r)]);
    ++some.inputs.rows;
  }
  some.inputs.hash = Hasher().add(windows.inputs.hash).add(" ").add(name).hex();
  return some;
}

MeasuredWindows measured_windows(const DatasetOptions& dataset, std::int64_t length, std::int64_t most_tokens,
                                 const ModelSpec& spec) {
  const std::int64_t count = (most_tokens + length - 1) / length;
  const TokenRows rows = token_windows(dataset, {.count = count, .length = length, .extra = 1, .fewer_is_fine = true});
  MeasuredWindows windows = with_next(rows, length, most_tokens, dataset.file);
  check(windows, spec, dataset.file);
  return windows;
}

MeasuredWindows measured_rows(const std::string& file, std::int64_t length, std::int64_t most_tokens,
                              const ModelSpec& spec) {
  MeasuredWindows windows = with_next(read_token_file(file), length, most_tokens, file);
  check(windows, spec, file);
  return windows;
}

}  // namespace strata
