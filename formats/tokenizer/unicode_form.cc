#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "formats/tokenizer/normalizer.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {

struct Range {
  char32_t first, last;
};

// Characters that utf8proc reorders or composes but Hugging Face's older tables do not know. They stand
// still, and nothing moves or composes across them.
constexpr auto unmoved = std::to_array<Range>(
    {{0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},
     {0xa82c, 0xa82c},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50},
     {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
     {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
     {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
     {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136},
     {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}});

// Characters whose compatibility mapping those tables do not know.
constexpr auto unmapped = std::to_array<Range>({{0x32ff, 0x32ff},
                                                {0xa7f2, 0xa7f4},
                                                {0xab69, 0xab69},
                                                {0x10781, 0x10785},
                                                {0x10787, 0x107b0},
                                                {0x107b2, 0x107ba},
                                                {0x1e030, 0x1e06d},
                                                {0x1f16c, 0x1f16c},
                                                {0x1fbf0, 0x1fbf9}});

template <typename Ranges>
bool contains(const Ranges& ranges, char32_t value) {
  const auto* after =
      std::upper_bound(ranges.begin(), ranges.end(), value, [](char32_t v, const Range& r) { return v < r.first; });
  return after != ranges.begin() && value <= (after - 1)->last;
}

bool is_compatibility(UnicodeForm form) { return form == UnicodeForm::nfkc || form == UnicodeForm::nfkd; }
bool is_composed(UnicodeForm form) { return form == UnicodeForm::nfc || form == UnicodeForm::nfkc; }

// Below this nothing ever changes and nothing combines with what stands before it.
char32_t first_that_changes(UnicodeForm form) {
  if (is_compatibility(form)) return 0xA0;
  return form == UnicodeForm::nfc ? 0x300 : 0xC0;
}

void append_form(std::string_view text, UnicodeForm form, std::string& out) {
  if (text.empty()) return;
  int options = UTF8PROC_STABLE | (is_composed(form) ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (is_compatibility(form)) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* bytes = nullptr;
  const auto count =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &bytes, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(bytes, &std::free);
  if (count < 0)
    fail(Fault::input, "text: normalizing a piece of {} bytes failed: {}", text.size(), utf8proc_errmsg(count));
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

bool stands_still(char32_t value, UnicodeForm form) {
  return contains(unmoved, value) || (is_compatibility(form) && contains(unmapped, value));
}

}  // namespace

bool to_unicode_form(std::string_view text, UnicodeForm form, std::string& out) {
  const char32_t threshold = first_that_changes(form);
  out.clear();
  std::size_t copied = 0;  // text before this is in `out`
  std::size_t last = 0;    // start of the code point before `at`
  for (std::size_t at = 0; at < text.size();) {
    CodePoint c = code_point_at(text, at);
    if (c.value < threshold || stands_still(c.value, form)) {
      last = at;
      at += c.bytes;
      continue;
    }
    // A run that may change, with the character before it, which may take part.
    const std::size_t start =
        last < at && last >= copied && !stands_still(code_point_at(text, last).value, form) ? last : at;
    while (at < text.size() && c.value >= threshold && !stands_still(c.value, form)) {
      last = at;
      at += c.bytes;
      if (at < text.size()) c = code_point_at(text, at);
    }
    out += text.substr(copied, start - copied);
    append_form(text.substr(start, at - start), form, out);
    copied = at;
  }
  if (copied == 0) return false;
  out += text.substr(copied);
  return true;
}

}  // namespace strata::tokenizer
