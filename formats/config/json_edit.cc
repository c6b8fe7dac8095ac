#include "formats/config/json_edit.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace strata {
namespace {

constexpr std::string_view blanks = " \t\r\n";

struct Member {
  std::string key;
  std::size_t begin, value, end;
};

struct Object {
  std::size_t open = 0;  // of the brace
  std::vector<Member> members;
};

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(blanks, at), text.size());
}

// One past the closing quote of the string that starts at `at`.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return std::min(at + 1, text.size());
}

// A key may be spelt with escapes: "\u0061" is "a".
std::string decoded(std::string_view quoted) {
  if (quoted.find('\\') == quoted.npos) return std::string(quoted.substr(1, quoted.size() - 2));
  return nlohmann::json::parse(quoted).get<std::string>();
}

std::size_t value_end(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      if (depth == 0) return at;
      continue;
    }
    if (c == '{' || c == '[')
      ++depth;
    else if ((c == '}' || c == ']') && --depth <= 0)
      return depth < 0 ? at : at + 1;
    else if (depth == 0 && (c == ',' || blanks.find(c) != blanks.npos))
      return at;
    ++at;
  }
  return at;
}

Object scan(std::string_view text, std::size_t from) {
  Object object{skip_blanks(text, from), {}};
  std::size_t at = skip_blanks(text, object.open + 1);
  while (at < text.size() && text[at] == '"') {
    const std::size_t key_end = string_end(text, at);
    const std::size_t value = skip_blanks(text, skip_blanks(text, key_end) + 1);
    object.members.push_back({decoded(text.substr(at, key_end - at)), at, value, value_end(text, value)});
    at = skip_blanks(text, object.members.back().end);
    if (at < text.size() && text[at] == ',') at = skip_blanks(text, at + 1);
  }
  return object;
}

const Member* find(const Object& object, std::string_view key) {
  const auto found =
      std::find_if(object.members.begin(), object.members.end(), [&](const Member& m) { return m.key == key; });
  return found == object.members.end() ? nullptr : &*found;
}

// The object itself, or its member object `section`; nothing when there is none.
std::optional<Object> scan_section(std::string_view text, std::string_view section) {
  Object object = scan(text, 0);
  if (section.empty()) return object;
  const Member* const inner = find(object, section);
  if (inner == nullptr || text[inner->value] != '{') return std::nullopt;
  return scan(text, inner->value);
}

}  // namespace

std::string with_value(std::string text, std::string_view key, std::string_view value, std::string_view section) {
  const std::optional<Object> object = scan_section(text, section);
  const Member* const member = object ? find(*object, key) : nullptr;
  if (member == nullptr) return text;
  return text.replace(member->value, member->end - member->value, value);
}

std::string without_member(std::string text, std::string_view key, std::string_view section) {
  const std::optional<Object> found = scan_section(text, section);
  if (!found) return text;
  const Object& object = *found;
  const Member* const member = find(object, key);
  if (member == nullptr) return text;
  const auto i = static_cast<std::size_t>(member - object.members.data());
  std::size_t begin = member->begin, end = member->end;
  if (i + 1 < object.members.size())
    end = object.members[i + 1].begin;  // the comma after it goes too
  else if (i > 0)
    begin = object.members[i - 1].end;  // or the one before it
  text.erase(begin, end - begin);
  return text;
}

std::string with_member(std::string text, std::string_view key, std::string_view value) {
  const Object object = scan(text, 0);
  const std::size_t first = object.members.empty() ? text.size() : object.members.front().begin;
  const std::size_t line = text.rfind('\n', first);
  const bool lines = object.members.empty() || (line != text.npos && line > object.open);
  const std::string indent = object.members.empty() ? "  " : text.substr(line + 1, first - line - 1);
  std::string member = lines ? "\n" + indent : " ";
  member.append("\"").append(key).append("\": ");
  for (const char c : value) {
    member += c;
    if (c == '\n' && lines) member += indent;
  }
  if (object.members.empty()) return text.insert(object.open + 1, member + "\n");
  return text.insert(object.members.back().end, "," + member);
}

}  // namespace strata
