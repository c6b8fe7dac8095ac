// The tokens that the files of a folder declare beside tokenizer.json, as transformers' AutoTokenizer reads them:
// tokenizer_config.json and, where that has no added_tokens_decoder, special_tokens_map.json and added_tokens.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/tokenizer/added_tokens.h"
#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/tokenizer_class.h"

namespace strata::tokenizer {

// A token as a file writes it: a string, or an object with settings.
struct DeclaredToken {
  std::string content;
  bool is_object = false;
  bool single_word = false, lstrip = false, rstrip = false, special = false;
  std::optional<bool> normalized = {};  // where it is not said, a token is normalized unless it is special

  AddedToken settings() const;
  bool operator==(const DeclaredToken& other) const;  // as Python compares them
};

// The files of a folder; null where there is none.
struct TokenizerFiles {
  const JsonPart* tokenizer = nullptr;  // tokenizer.json
  const JsonPart* settings = nullptr;   // tokenizer_config.json
  const JsonPart* special_tokens_map = nullptr;
  const JsonPart* added_tokens = nullptr;  // added_tokens.json
};

struct DeclaredTokens {
  struct Numbered {
    DeclaredToken token;
    std::string where;  // the file and place that says its id
    bool checked;       // false for tokenizer.json, whose ids nobody reads
  };
  std::map<std::int64_t, Numbered> numbered;                 // by the id that its file says
  std::vector<std::pair<std::string, DeclaredToken>> named;  // "bos_token", ... in transformers' order
  std::vector<DeclaredToken> extra;                          // extra_special_tokens, additional_special_tokens

  // The text of a named token, as chat templates see it; nullptr when nobody names it.
  const std::string* find(std::string_view name) const;
};

// Error{input} for what transformers does not load either, naming file and key.
DeclaredTokens read_declared_tokens(const TokenizerFiles& files, const TokenizerClass& type);

// Adds them to those of tokenizer.json (to none where the class rebuilds), in transformers' order. Error{input} with
// file, token and both ids when one gets another id than its file says.
void add_declared_tokens(const DeclaredTokens& declared, const TokenizerClass& type, const BaseVocabulary& vocabulary,
                         AddedTokens& added);

}  // namespace strata::tokenizer
