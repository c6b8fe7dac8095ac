// Regular expressions of tokenizer.json: written for Oniguruma (Ruby's syntax), run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace strata::tokenizer {

// The same expression in PCRE2's syntax, with Oniguruma's meaning of \s, \w, \p{..}, ^, $ and X{n,m}+ and
// the classes of Unicode 16. Error{input} naming `where` and the construct for anything that PCRE2 would
// read in another way.
std::string to_pcre2(std::string_view oniguruma, const std::string& where);

// A compiled expression. Thread-safe.
class Regex {
 public:
  Regex(std::string_view oniguruma, const std::string& where);
  static Regex literal(std::string_view text);

 private:
  friend class Matches;
  struct Code;
  Regex() = default;
  std::shared_ptr<const Code> code_;
};

// Walks over the matches in one text, which is valid UTF-8. An empty match right after the last one is
// passed over, as in Hugging Face's engine.
class Matches {
 public:
  Matches(const Regex& regex, std::string_view text);  // neither may go away before this
  ~Matches();
  Matches(const Matches&) = delete;
  Matches& operator=(const Matches&) = delete;

  bool next();
  std::size_t begin() const { return begin_; }
  std::size_t end() const { return end_; }

 private:
  struct Data;
  bool search();  // from from_
  const Regex& regex_;
  std::string_view text_;
  std::unique_ptr<Data> data_;
  std::size_t from_ = 0, begin_ = 0, end_ = 0;
  bool matched_before_ = false;
};

}  // namespace strata::tokenizer
