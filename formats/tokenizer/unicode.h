// Code points of UTF-8 text and the character classes that Hugging Face's tokenizers ask for. Classes
// follow Unicode 16, as theirs do, whatever older version the libraries of the distribution know.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace strata::tokenizer {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;
};

// The text must be valid UTF-8 and `at` the start (the end, for _before) of a code point.
CodePoint code_point_at(std::string_view text, std::size_t at);
CodePoint code_point_before(std::string_view text, std::size_t at);
void append_code_point(std::string& text, char32_t value);

std::size_t count_code_points(std::string_view text);
// Bytes of the first `count` code points, or of the whole text when it has fewer.
std::size_t code_point_prefix(std::string_view text, std::size_t count);

std::optional<std::size_t> first_invalid_utf8(std::string_view text);  // byte offset

bool is_white_space(char32_t value);
bool is_numeric(char32_t value);  // general categories Nd, Nl, No
bool is_word(char32_t value);     // \w of Rust's regex crate

// Code points that Unicode 15 and 16 assigned, with their general category.
struct CategoryRange {
  char32_t first, last;
  char category[3];
};
std::span<const CategoryRange> later_than_unicode_14();

}  // namespace strata::tokenizer
