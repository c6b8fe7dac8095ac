#include "formats/number_format.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/suggest.h"

namespace strata {
namespace {

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

bool is_one_of(std::string_view name, std::string_view words) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (same_word(words.substr(0, end), name)) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

}  // namespace

std::uint64_t field_bytes(const Field& field) {
  const std::optional<std::uint64_t> bytes = tensor_bytes(field.dtype, field.shape);
  if (!bytes) fail(Fault::bug, "{}: {} has no size in bytes", field.suffix, shape_text(field.shape));
  return *bytes;
}

const NumberFormat* find_number_format(std::string_view name) {
  for (const NumberFormat* const format : number_formats())
    if (same_word(format->name, name) || is_one_of(name, format->aliases)) return format;
  return nullptr;
}

const NumberFormat& require_number_format(std::string_view name) {
  if (const NumberFormat* const format = find_number_format(name)) return *format;
  std::vector<std::string> words;
  for (const NumberFormat* const format : number_formats()) words.emplace_back(format->name);
  fail(Fault::usage, "scheme '{}' does not exist{}", name, suggest(name, words));
}

bool stores_same(const NumberFormat& a, const NumberFormat& b) {
  const auto stored = [](const NumberFormat& format) {
    return format.stores_as != nullptr ? format.stores_as : &format;
  };
  return stored(a) == stored(b);
}

}  // namespace strata
