#include "cli/shell_text.h"

#include <fmt/core.h>

#include <algorithm>

namespace strata {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_plain(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') || std::string_view("-_./=:,+@%").find(c) != std::string_view::npos;
}

// $'...': what a line of output must not hold is written as an escape.
std::string escaped_word(std::string_view word) {
  std::string text = "$'";
  for (const char c : word) {
    if (is_control(c))
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else if (c == '\'' || c == '\\')
      text += {'\\', c};
    else
      text += c;
  }
  return text + "'";
}

}  // namespace

std::string shell_word(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  if (std::ranges::any_of(word, is_control)) return escaped_word(word);
  std::string text = "'";
  for (const char c : word) {
    if (c == '\'')
      text += R"('\'')";
    else
      text += c;
  }
  return text + "'";
}

std::string shell_command(std::string_view command, std::span<const std::string> arguments) {
  std::string text = fmt::format("strata {}", command);
  for (const std::string& word : arguments) text += " " + shell_word(word);
  return text;
}

}  // namespace strata
