// GPT-2's alphabet: every byte has a printable character, so that any text is a string of them.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace strata::tokenizer {

// The character of each byte.
constexpr std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> characters{};
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    characters[byte] = printable ? byte : next++;
  }
  return characters;
}

// All characters stand below U+0800: one or two bytes of UTF-8.
inline std::string to_byte_alphabet(std::string_view bytes) {
  static constexpr std::array<char32_t, 256> alphabet = byte_alphabet();
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const char32_t c = alphabet[static_cast<unsigned char>(byte)];
    if (c < 0x80) {
      text.push_back(static_cast<char>(c));
    } else {
      text.push_back(static_cast<char>(0xC0 | (c >> 6)));
      text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
  }
  return text;
}

}  // namespace strata::tokenizer
