#include "formats/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <array>

#include "base/error.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {

// Lower-case letters of Unicode 15 to 17, which utf8proc may not know: value = upper + step.
struct LowercaseRange {
  char32_t first, last;
  std::int32_t step;
};
constexpr auto later_lowercase = std::to_array<LowercaseRange>({{0x1c89, 0x1c89, 1},
                                                                {0xa7cb, 0xa7cb, 0x264 - 0xa7cb},
                                                                {0xa7cc, 0xa7cc, 1},
                                                                {0xa7ce, 0xa7ce, 1},
                                                                {0xa7d2, 0xa7d2, 1},
                                                                {0xa7d4, 0xa7d4, 1},
                                                                {0xa7da, 0xa7da, 1},
                                                                {0xa7dc, 0xa7dc, 0x19b - 0xa7dc},
                                                                {0x10d50, 0x10d65, 0x20},
                                                                {0x16ea0, 0x16eb8, 0x1b}});

char32_t to_lower(char32_t value) {
  for (const LowercaseRange& range : later_lowercase)
    if (range.first <= value && value <= range.last)
      return static_cast<char32_t>(static_cast<std::int32_t>(value) + range.step);
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value)));
}

// Far more than any tokenizer has; each step costs a pass over the text.
constexpr std::size_t most_steps = 64;

// Replacements can double the text again and again: a small file must not fill the memory.
std::size_t longest_result(std::size_t bytes) { return 64 * bytes + (std::size_t{1} << 16); }

// Each step gives true and fills `out` when it changes the piece.
struct Apply {
  Piece& piece;
  std::string& out;
  std::size_t longest;

  bool operator()(UnicodeForm form) const { return to_unicode_form(piece.text, form, out); }

  bool operator()(Lowercase) const {
    out.clear();
    for (std::size_t at = 0; at < piece.text.size();) {
      const CodePoint c = code_point_at(piece.text, at);
      at += c.bytes;
      if (c.value == 0x130)
        out += "i\xCC\x87";  // the only letter whose lower case is two characters
      else if (c.value < 0x80)
        out += static_cast<char>(c.value >= 'A' && c.value <= 'Z' ? c.value + 32 : c.value);
      else
        append_code_point(out, to_lower(c.value));
    }
    return true;
  }

  bool operator()(const Prepend& prepend) const {
    if (piece.text.empty()) return false;
    out = prepend.text;
    out += piece.text;
    return true;
  }

  bool operator()(const Strip& strip) const {
    std::size_t begin = 0, end = piece.text.size();
    while (strip.left && begin < end && is_white_space(code_point_at(piece.text, begin).value))
      begin += code_point_at(piece.text, begin).bytes;
    while (strip.right && begin < end && is_white_space(code_point_before(piece.text, end).value))
      end -= code_point_before(piece.text, end).bytes;
    if (begin > 0) piece.at_origin = false;
    out = piece.text.substr(begin, end - begin);
    return true;
  }

  bool operator()(const Replace& replace) const {
    if (piece.text.empty()) return false;
    return replace.regex ? replace_matches(replace) : replace_text(replace);
  }

  void append(std::string_view content) const {
    out += content;
    if (out.size() > longest)
      fail(Fault::input, "text: the normalizer's replacements make more than {} bytes of it; pass token ids instead",
           longest);
  }

  bool replace_text(const Replace& replace) const {
    out.clear();
    std::size_t copied = 0;
    for (std::size_t at; (at = piece.text.find(replace.pattern, copied)) != std::string_view::npos;) {
      if (at == 0 && replace.content.empty()) piece.at_origin = false;
      out += piece.text.substr(copied, at - copied);
      append(replace.content);
      copied = at + replace.pattern.size();
    }
    out += piece.text.substr(copied);
    return copied > 0;
  }

  bool replace_matches(const Replace& replace) const {
    out.clear();
    std::size_t copied = 0;
    bool changed = false;
    for (Matches match(*replace.regex, piece.text); match.next(); changed = true) {
      if (match.begin() == 0 && match.end() > 0 && replace.content.empty()) piece.at_origin = false;
      out += piece.text.substr(copied, match.begin() - copied);
      append(replace.content);
      copied = match.end();
    }
    out += piece.text.substr(copied);
    return changed;
  }
};

Replace parse_replace(const JsonPart& part) {
  part.allow_only({"type", "pattern", "content"});
  const JsonPart pattern = part.at("pattern");
  pattern.allow_only({"String", "Regex"});
  Replace replace;
  replace.content = part.text("content");
  if (pattern.find("Regex"))
    replace.regex = Regex(pattern.text("Regex"), pattern.where());
  else
    replace.pattern = pattern.text("String");
  if (!replace.regex && replace.pattern.empty()) fail(Fault::input, "{}: the pattern is empty", part.where());
  return replace;
}

}  // namespace

Normalizer Normalizer::parse(const JsonPart& part) {
  Normalizer normalizer;
  normalizer.add(part);
  if (normalizer.steps_.size() > most_steps)
    fail(Fault::input, "{}: has {} steps, at most {} are supported", part.where(), normalizer.steps_.size(),
         most_steps);
  return normalizer;
}

void Normalizer::add(const JsonPart& part) {
  const std::string_view type = part.text("type");
  if (type == "Sequence") {
    part.allow_only({"type", "normalizers"});
    for (const JsonPart& item : part.at("normalizers").items()) add(item);
  } else if (type == "Replace") {
    steps_.emplace_back(parse_replace(part));
  } else if (type == "Prepend") {
    part.allow_only({"type", "prepend"});
    steps_.emplace_back(Prepend{std::string(part.text("prepend"))});
  } else if (type == "Strip") {
    part.allow_only({"type", "strip_left", "strip_right"});
    steps_.emplace_back(Strip{part.boolean("strip_left"), part.boolean("strip_right")});
  } else {
    part.allow_only({"type"});
    if (type == "NFC")
      steps_.emplace_back(UnicodeForm::nfc);
    else if (type == "NFD")
      steps_.emplace_back(UnicodeForm::nfd);
    else if (type == "NFKC")
      steps_.emplace_back(UnicodeForm::nfkc);
    else if (type == "NFKD")
      steps_.emplace_back(UnicodeForm::nfkd);
    else if (type == "Lowercase")
      steps_.emplace_back(Lowercase{});
    else
      fail(Fault::input, "{}: normalizer {} is not supported; pass token ids in a .safetensors file instead",
           part.where(), type);
  }
}

Piece Normalizer::apply(Piece piece, std::string& buffer) const {
  std::string next;
  const std::size_t longest = longest_result(piece.text.size());
  for (const Step& step : steps_) {
    if (!std::visit(Apply{piece, next, longest}, step)) continue;
    buffer.swap(next);
    piece.text = buffer;
  }
  return piece;
}

std::string Normalizer::apply(std::string_view text) const {
  std::string buffer;
  return std::string(apply(Piece{text, true}, buffer).text);
}

}  // namespace strata::tokenizer
