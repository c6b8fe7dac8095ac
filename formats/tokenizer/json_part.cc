#include "formats/tokenizer/json_part.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "base/error.h"

namespace strata::tokenizer {

void JsonPart::allow_only(std::initializer_list<std::string_view> keys) const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) fail(Fault::input, "{} is not an object", where_);
  for (const auto& field : object)
    if (std::find(keys.begin(), keys.end(), field.key) == keys.end())
      fail(Fault::input, "{}: \"{}\" is not known; pass token ids in a .safetensors file instead", where_, field.key);
}

void JsonPart::require_absent(std::string_view key) const {
  const std::optional<JsonPart> part = find(key);
  if (!part) return;
  if (part->element_.is_string() && part->text().empty()) return;
  fail(Fault::input, "{} is {}, but only null is supported; pass token ids in a .safetensors file instead",
       part->where_, simdjson::minify(part->element_));
}

std::optional<JsonPart> JsonPart::find(std::string_view key) const {
  simdjson::dom::element element;
  if (element_[key].get(element) != simdjson::SUCCESS || element.is_null()) return std::nullopt;
  const char* joint = where_.ends_with(": ") ? "" : ".";
  return JsonPart(element, where_ + joint + std::string(key));
}

JsonPart JsonPart::at(std::string_view key) const {
  std::optional<JsonPart> part = find(key);
  if (!part) fail(Fault::input, "{}: \"{}\" is missing", where_, key);
  return *part;
}

std::vector<JsonPart> JsonPart::items() const {
  simdjson::dom::array array;
  if (element_.get(array) != simdjson::SUCCESS) fail(Fault::input, "{} is not an array", where_);
  std::vector<JsonPart> parts;
  for (const simdjson::dom::element element : array)
    parts.emplace_back(element, where_ + "[" + std::to_string(parts.size()) + "]");
  return parts;
}

std::vector<std::pair<std::string_view, JsonPart>> JsonPart::fields() const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) fail(Fault::input, "{} is not an object", where_);
  const char* joint = where_.ends_with(": ") ? "" : ".";
  std::vector<std::pair<std::string_view, JsonPart>> parts;
  std::unordered_set<std::string_view> seen;
  for (const auto& field : object) {
    if (!seen.insert(field.key).second) fail(Fault::input, "{}: \"{}\" stands twice", where_, field.key);
    parts.emplace_back(field.key, JsonPart(field.value, where_ + joint + std::string(field.key)));
  }
  return parts;
}

std::string_view JsonPart::text() const {
  std::string_view text;
  if (element_.get(text) != simdjson::SUCCESS) fail(Fault::input, "{} is not a string", where_);
  return text;
}

bool JsonPart::boolean_or(std::string_view key, bool otherwise) const { return find(key) ? boolean(key) : otherwise; }

bool JsonPart::boolean(std::string_view key) const {
  const JsonPart part = at(key);
  bool value = false;
  if (part.element_.get(value) != simdjson::SUCCESS) fail(Fault::input, "{} is not true or false", part.where_);
  return value;
}

std::int32_t JsonPart::id() const {
  std::int64_t value = 0;
  if (element_.get(value) != simdjson::SUCCESS || value < 0 || value > std::numeric_limits<std::int32_t>::max())
    fail(Fault::input, "{} is {}, not a token id", where_, simdjson::minify(element_));
  return static_cast<std::int32_t>(value);
}

}  // namespace strata::tokenizer
