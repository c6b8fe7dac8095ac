// JSON as commands and events print it. Included by .cc files only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"

namespace strata {

// With the end of the line.
std::string json_line(const Json& value);
std::string json_text(const Json& value);

// "key: value" lines as an object: keys in snake_case, values that are numbers as numbers.
Json facts_json(const std::vector<std::pair<std::string, std::string>>& facts);

// A figure in dB: null for infinity, where nothing differs, and "-inf", as JSON has no such number.
Json decibels_json(double decibels);

}  // namespace strata
