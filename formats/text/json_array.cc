#include "formats/text/json_array.h"

#include <algorithm>

#include "base/error.h"

namespace strata {
namespace {

constexpr std::size_t none = std::string_view::npos;

std::size_t skip_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

// Just after the string that begins at `begin`.
std::size_t string_end(std::string_view text, std::size_t begin) {
  for (std::size_t at = begin + 1; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\') ++at;
  }
  return none;
}

// Just after the string or the object that begins at `begin`.
std::size_t value_end(std::string_view text, std::size_t begin) {
  if (text[begin] == '"') return string_end(text, begin);
  std::size_t depth = 0;
  for (std::size_t at = begin; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at + 1;
    ++at;
  }
  return none;
}

// The start of what stands where something else should, as one short line.
std::string shown(std::string_view text, std::size_t at) {
  if (at >= text.size()) return "the end of the file";
  std::string start(text.substr(at, std::min(text.find_first_of("\r\n,]", at + 1) - at, std::size_t{20})));
  // A character may be cut in two, and control characters would break the line.
  std::ranges::replace_if(
      start, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return start;
}

}  // namespace

std::vector<std::string_view> split_json_array(std::string_view text, const std::string& path) {
  std::vector<std::string_view> elements;
  std::size_t at = skip_space(text, skip_space(text, 0) + 1);
  bool open = at >= text.size() || text[at] != ']';
  while (open) {
    const std::size_t number = elements.size() + 1;
    if (at >= text.size() || (text[at] != '"' && text[at] != '{'))
      fail(Fault::input,
           "{}: element {} is {}; a data set in .json is an array of texts, or of objects with text or messages", path,
           number, shown(text, at));
    const std::size_t end = value_end(text, at);
    if (end == none) fail(Fault::input, "{}: broken JSON: element {} has no end; is the file cut?", path, number);
    elements.push_back(text.substr(at, end - at));
    at = skip_space(text, end);
    open = at < text.size() && text[at] == ',';
    if (open)
      at = skip_space(text, at + 1);
    else if (at >= text.size() || text[at] != ']')
      fail(Fault::input, "{}: broken JSON: after element {} stands {}, expected a comma or the end of the array", path,
           number, shown(text, at));
  }
  if (const std::size_t rest = skip_space(text, at + 1); rest < text.size())
    fail(Fault::input, "{}: broken JSON: after the array, at byte {}, stands {}", path, rest, shown(text, rest));
  return elements;
}

}  // namespace strata
