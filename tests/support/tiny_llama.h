// A Llama of one layer with random BF16 weights: hidden 128, 16 tokens in the vocabulary.
#pragma once

#include <cstdint>
#include <string>

namespace strata::test {

struct TinyLlama {
  std::int64_t inner = 256;  // width of the MLP
  bool tied = false;
  std::int64_t window = 0;  // a Mistral with this sliding window when positive
  std::string nan_in = {};  // a tensor that gets a NaN ...
  std::int64_t nan_at = 0;  // ... at this element
};

void write_tiny_llama(const std::string& folder, const TinyLlama& model = {});

// A token file of `rows` rows of `columns` reproducible ids below `vocabulary`.
void write_token_rows(const std::string& path, std::int64_t rows, std::int64_t columns, std::int32_t vocabulary);

}  // namespace strata::test
