#include "cli/wrap.h"

#include <algorithm>

namespace strata {

std::size_t columns_of(std::string_view text) {
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

std::vector<std::string> wrapped_lines(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  std::size_t used = 0;  // columns of the last line
  while (!text.empty()) {
    // A word with the blanks before it, which are lost where it begins a line.
    const std::size_t start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) break;
    const std::string_view word = text.substr(0, std::min(text.find(' ', start), text.size()));
    const std::size_t columns = columns_of(word);
    if (used > 0 && start > 0 && columns > width - std::min(used, width)) {
      lines.emplace_back(word.substr(start));
      used = columns - start;
    } else {
      lines.back() += word;
      used += columns;
    }
    text.remove_prefix(word.size());
  }
  return lines;
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string joined;
  for (const std::string& line : wrapped_lines(text, width - std::min(indent, width)))
    joined += (joined.empty() ? "" : "\n" + std::string(indent, ' ')) + line;
  return joined;
}

}  // namespace strata
