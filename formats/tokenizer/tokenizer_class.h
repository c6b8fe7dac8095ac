// The class that transformers' AutoTokenizer makes of a folder, and what that class takes from tokenizer.json. Some
// take the file as it is; others take vocabulary, merges and post-processor and bring the rest themselves.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "formats/tokenizer/bpe.h"
#include "formats/tokenizer/json_part.h"

namespace strata::tokenizer {

struct TokenizerClass {
  std::string_view name;
  std::string_view model_types;  // of config.json, for which this class is registered; separated by spaces

  // Null for a class that takes the file as it is. Else the JSON of the class's own parts, "null" where it has none.
  // `settings` is tokenizer_config.json, null when there is none.
  std::string (*normalizer)() = nullptr;
  std::string (*pre_tokenizer)(const JsonPart* settings) = nullptr;
  BpeSettings model = {};
  bool unknown_is_token = false;     // the model's unknown token is unk_token
  bool adds_special_tokens = false;  // at the end, all of them with default settings
  std::span<const std::pair<std::string_view, std::string_view>> special_tokens = {};  // where nobody names them

  bool rebuilds() const { return pre_tokenizer != nullptr; }
};

// `settings` is tokenizer_config.json, `config` is config.json; null when the folder has none. Error{input} for a class
// that is neither of the two kinds, or that is a program of the model's own.
const TokenizerClass& auto_tokenizer_class(const JsonPart* settings, const JsonPart* config);

}  // namespace strata::tokenizer
