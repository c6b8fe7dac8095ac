// The pre-tokenizers of tokenizer.json: cut text into the words within which the model merges.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/normalizer.h"
#include "formats/tokenizer/regex.h"

namespace strata::tokenizer {

// What becomes of the matches when text is split at them.
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct Split {
  Regex regex;
  Behavior behavior = Behavior::isolated;
  bool invert = false;  // what lies between the matches counts as a match
};

struct ByteLevel {
  bool add_prefix_space = false;
  bool map_bytes = true;  // false for the last step: the model maps
};

struct Digits {
  bool individual = false;
};

struct Metaspace {
  enum class Prepend { always, first, never };
  std::string replacement;
  Prepend prepend = Prepend::always;
  bool split = true;
};

struct WhitespaceWords {};  // "Whitespace": runs of word characters and runs of others, blanks dropped
struct WhitespaceSplit {};

using TakePiece = std::function<void(Piece)>;

// Thread-safe.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  static PreTokenizer parse(const JsonPart& part);

  // Calls `take` with each word, left to right; the views live until it returns.
  void split(Piece piece, const TakePiece& take) const { run(0, piece, take); }

  // The words are raw bytes that the model must still map to GPT-2's alphabet.
  bool leaves_bytes() const { return leaves_bytes_; }

 private:
  using Step = std::variant<Split, ByteLevel, Digits, Metaspace, WhitespaceWords, WhitespaceSplit>;
  void add(const JsonPart& part);
  void check_steps(const JsonPart& part) const;
  void add_byte_level(const JsonPart& part);
  void run(std::size_t step, Piece piece, const TakePiece& take) const;
  std::vector<Step> steps_;
  bool leaves_bytes_ = false;
};

}  // namespace strata::tokenizer
