// Tokens that are cut out of the text before it is normalized and split.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/normalizer.h"

namespace strata::tokenizer {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;

  bool same_as(const AddedToken& other) const;  // in everything but the id
};

// Byte strings with a value each; finds the longest that begins at a place. Thread-safe after filling.
class Trie {
 public:
  void add(std::string_view text, std::size_t value);  // the first value given to a text stays
  bool empty() const { return nodes_.size() == 1; }

  struct Match {
    std::size_t begin = 0, end = 0, value = 0;
  };
  // The leftmost longest match at or after `from`.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, std::uint32_t>> children;  // few: searched one by one
    std::optional<std::size_t> value;
  };
  const std::uint32_t* child(std::uint32_t node, unsigned char byte) const;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::uint32_t first_[256] = {};  // children of the root, 0 where there is none
};

// The tokens of a model's vocabulary, which added tokens are numbered by.
struct BaseVocabulary {
  std::size_t size = 0;
  std::function<std::optional<std::int32_t>(std::string_view)> id_of;
};

// Filled by add() and read(), then indexed once; thread-safe from then on.
class AddedTokens {
 public:
  // The `added_tokens` of tokenizer.json, as one add(). Their ids in the file are not read.
  void read(const JsonPart& part, const BaseVocabulary& vocabulary);

  // As Hugging Face does: a token of the vocabulary keeps its id, others are numbered after it and after all that were
  // added before. A token that is there already takes the new settings. Error{input} that begins with `where` when
  // `normalized` is among what changes: versions of tokenizers read that differently.
  void add(std::span<const AddedToken> tokens, const BaseVocabulary& vocabulary, std::string_view where);

  // Makes split() find what was added. `where` begins a message.
  void index(const Normalizer& normalizer, const std::string& where);

  enum class Text { raw, normalized };
  // Calls `take(piece, nullptr)` for text and `take(piece, &token)` for a token, left to right.
  using Take = std::function<void(Piece, const AddedToken*)>;
  void split(Piece piece, Text text, const Take& take) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  const AddedToken* find(std::string_view content) const;  // nullptr when there is none; until the next add()

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> places_;  // in tokens_
  Trie raw_, normalized_;
};

}  // namespace strata::tokenizer
