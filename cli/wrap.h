// Text for people, broken into lines that fit a terminal.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

inline constexpr std::size_t unlimited_width = std::numeric_limits<std::size_t>::max();

// Columns that a terminal takes for UTF-8 text: one for each code point, so wide characters count too little.
std::size_t columns_of(std::string_view text);

// Lines of at most `width` columns, broken at blanks alone: a word that is longer has a line of its own and stays
// whole, so that names and paths can be copied and no UTF-8 sequence is cut. One empty line for empty text.
std::vector<std::string> wrapped_lines(std::string_view text, std::size_t width);

// The same as one text, with `indent` blanks before every line but the first and no newline at the end.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent);

}  // namespace strata
