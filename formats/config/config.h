// config.json with getters that name the missing or mistyped key and the file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// An object inside a JSON file. Cheap to copy; shares the parsed document. Thread-safe to read.
class Config {
 public:
  static Config parse(std::string_view json, std::string path);  // Error{input} with file and byte on broken JSON
  static Config load(const std::string& path);

  // Error{input} "config.json: hidden_size is missing" or "... is "abc", expected an integer".
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::string text(std::string_view key) const;
  Config section(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;

  // The default when the key is missing or null; still an error when it is of another type.
  std::int64_t integer_or(std::string_view key, std::int64_t otherwise) const;
  double number_or(std::string_view key, double otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::string text_or(std::string_view key, std::string_view otherwise) const;

  bool has(std::string_view key) const;          // present and not null
  std::vector<std::string> keys() const;         // in file order
  std::string dump(std::string_view key) const;  // the value as compact JSON, for messages and fingerprints
  const std::string& path() const;               // "config.json" or "config.json: text_config"

 private:
  struct Node;
  explicit Config(std::shared_ptr<const Node> node);
  std::shared_ptr<const Node> node_;
};

// The text model's part of a config: `text_config` where it exists, else the whole.
Config text_config(const Config& config);

}  // namespace strata
