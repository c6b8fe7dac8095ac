// Tokens that are cut out of the text before it is normalized and split.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

// Thread-safe.
class AddedTokens {
 public:
  AddedTokens() = default;
  // `known_id` gives the id of a token of the model's vocabulary, which has `vocabulary` tokens. Tokens
  // that it lacks are numbered after it, as Hugging Face does.
  static AddedTokens parse(const JsonPart& part, const Normalizer& normalizer, std::size_t vocabulary,
                           const std::function<std::optional<std::int32_t>(std::string_view)>& known_id);

  enum class Text { raw, normalized };
  // Calls `take(piece, nullptr)` for text and `take(piece, &token)` for a token, left to right.
  using Take = std::function<void(Piece, const AddedToken*)>;
  void split(Piece piece, Text text, const Take& take) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  std::optional<std::int32_t> id_of(std::string_view content) const;

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::int32_t> ids_;
  Trie raw_, normalized_;
};

}  // namespace strata::tokenizer
