// Windows of tokens on which outputs are compared: as they enter a model, and the token that follows each position.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/text/dataset.h"
#include "profiles/model_spec.h"

namespace strata {

struct MeasuredWindows {
  TokenRows inputs;
  std::vector<TokenId> next;         // [rows, columns]; negative where none follows
  std::vector<std::int64_t> window;  // [rows, columns]: the row
};

// Some of them, by row; `name` tells their hash from that of others. Rows keep their numbers in `window`.
MeasuredWindows some_of(const MeasuredWindows& windows, std::string_view name,
                        const std::function<bool(std::int64_t row)>& wanted);

// Held-out text in three by row, so that what is chosen, what confirms it and what is told of it are independent.
enum class Third : std::uint8_t { select, confirm, report };
constexpr Third third_of(std::int64_t row) { return static_cast<Third>(row % 3); }

// The text of `dataset`, packed into windows of `length` tokens, as many as hold `most_tokens` or fewer. Error{usage}
// unless both are positive; Error{input} as those of token_windows(), and for tokens outside the vocabulary.
MeasuredWindows measured_windows(const DatasetOptions& dataset, std::int64_t length, std::int64_t most_tokens,
                                 const ModelSpec& spec);

// Rows of a token file, each cut to `length` positions that have a next token.
MeasuredWindows measured_rows(const std::string& file, std::int64_t length, std::int64_t most_tokens,
                              const ModelSpec& spec);

}  // namespace strata
