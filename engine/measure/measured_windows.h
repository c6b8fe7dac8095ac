// Windows of tokens on which outputs are compared: as they enter a model, and the token that follows each position.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/text/dataset.h"
#include "profiles/model_spec.h"

namespace strata {

struct MeasuredWindows {
  TokenRows inputs;
  std::vector<TokenId> next;         // [rows, columns]; negative where none follows
  std::vector<std::int64_t> window;  // [rows, columns]: the row
};

// The text of `dataset`, packed into windows of `length` tokens, as many as hold `most_tokens` or fewer. Error{usage}
// unless both are positive; Error{input} as those of token_windows(), and for tokens outside the vocabulary.
MeasuredWindows measured_windows(const DatasetOptions& dataset, std::int64_t length, std::int64_t most_tokens,
                                 const ModelSpec& spec);

// Rows of a token file, each cut to `length` positions that have a next token.
MeasuredWindows measured_rows(const std::string& file, std::int64_t length, std::int64_t most_tokens,
                              const ModelSpec& spec);

}  // namespace strata
