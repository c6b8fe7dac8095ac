// JSON as commands and events print it. Included by .cc files only: nlohmann's header is slow.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace strata {

using Json = nlohmann::ordered_json;

// Names of tensors and files may be any bytes: what is not UTF-8 is replaced.
inline std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}
inline std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// "key: value" lines as an object: keys in snake_case, values that are numbers as numbers.
Json facts_json(const std::vector<std::pair<std::string, std::string>>& facts);

// A figure in dB: null for infinity, where nothing differs, and "-inf", as JSON has no such number.
Json decibels_json(double decibels);

}  // namespace strata
