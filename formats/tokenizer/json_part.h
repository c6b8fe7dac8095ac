// A part of tokenizer.json and where it stands. Whoever reads a part says which keys it knows; any other
// key is an error that names it, so that no setting is ever overlooked.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::tokenizer {

// Views into a parsed document, which must outlive it.
class JsonPart {
 public:
  JsonPart(simdjson::dom::element element, std::string where) : element_(element), where_(std::move(where)) {}

  const std::string& where() const { return where_; }  // "tokenizer.json: pre_tokenizer.pretokenizers[1]"
  const simdjson::dom::element& element() const { return element_; }

  void allow_only(std::initializer_list<std::string_view> keys) const;
  // Error{input} unless the key is missing, null or the empty string.
  void require_absent(std::string_view key) const;

  std::optional<JsonPart> find(std::string_view key) const;  // nullopt when missing or null
  JsonPart at(std::string_view key) const;
  std::vector<JsonPart> items() const;  // of an array
  // Of an object, in the order of the file, those that are null too. Error{input} when a key stands twice.
  std::vector<std::pair<std::string_view, JsonPart>> fields() const;

  bool is_text() const { return element_.is_string(); }
  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }
  bool is_null() const { return element_.is_null(); }

  std::string_view text() const;
  std::string_view text(std::string_view key) const { return at(key).text(); }
  bool boolean_or(std::string_view key, bool otherwise) const;
  bool boolean(std::string_view key) const;
  std::int32_t id() const;  // a token id: 0 .. 2^31 - 1

 private:
  simdjson::dom::element element_;
  std::string where_;
};

}  // namespace strata::tokenizer
