// The normalizers of tokenizer.json: text to text, before it is split.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/regex.h"

namespace strata::tokenizer {

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

struct Lowercase {};

struct Replace {
  std::string pattern;  // literal text when there is no expression
  std::optional<Regex> regex;
  std::string content;
};

struct Prepend {
  std::string text;
};

struct Strip {
  bool left = false, right = false;
};

// A piece of the text on its way to tokens. `at_origin`: it begins with the first character of the text.
struct Piece {
  std::string_view text;
  bool at_origin = false;
};

// Thread-safe.
class Normalizer {
 public:
  Normalizer() = default;
  static Normalizer parse(const JsonPart& part);

  // The piece itself where nothing changes, else views into `buffer`.
  Piece apply(Piece piece, std::string& buffer) const;
  std::string apply(std::string_view text) const;

 private:
  using Step = std::variant<UnicodeForm, Lowercase, Replace, Prepend, Strip>;
  void add(const JsonPart& part);
  std::vector<Step> steps_;
};

// The normal form, as Hugging Face's tables (Unicode 11) have it: later characters stay as they are.
// False when the text is in that form already.
bool to_unicode_form(std::string_view text, UnicodeForm form, std::string& out);

}  // namespace strata::tokenizer
