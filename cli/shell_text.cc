#include "cli/shell_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "formats/tokenizer/unicode.h"

namespace strata {
namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_plain(char c) {
  return is_letter_or_digit(c) || std::string_view("-_./=:,+@%").find(c) != std::string_view::npos;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Whether a terminal shows the word as it is.
bool is_printable(std::string_view word) {
  return std::ranges::none_of(word, is_control) && !tokenizer::first_invalid_utf8(word);
}

// In single quotes for printf, or for $'...': everything that means something to a shell or to printf as its number.
std::string numbered(std::string_view word) {
  std::string text = "'";
  for (const char c : word) {
    if (is_letter_or_digit(c) || std::string_view("_./ ").find(c) != std::string_view::npos)
      text += c;
    else
      text += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
  }
  return text + "'";
}

}  // namespace

std::string shell_word(std::string_view word) {
  const bool plain = std::ranges::all_of(word, is_plain) && !word.starts_with('=');  // zsh: =word is a program's path
  if (!word.empty() && plain) return std::string(word);
  if (word.ends_with('\n')) return "$" + numbered(word);
  if (!is_printable(word)) return "\"$(printf " + numbered(word) + ")\"";
  std::string text = "'";
  for (const char c : word) {
    if (c == '\'')
      text += R"('\'')";
    else
      text += c;
  }
  return text + "'";
}

std::string shell_path(std::string_view path) {
  return shell_word(path.starts_with('-') ? fmt::format("./{}", path) : std::string(path));
}

std::string shell_command(std::string_view command, std::span<const std::string> arguments) {
  std::string text = fmt::format("strata {}", command);
  for (const std::string& word : arguments) text += " " + shell_word(word);
  return text;
}

}  // namespace strata
