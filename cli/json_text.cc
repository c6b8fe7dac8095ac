#include "cli/json_text.h"

#include <charconv>
#include <cmath>
#include <cstdint>

namespace strata {
namespace {

Json fact_value(const std::string& text) {
  const char* const end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, integer); error == std::errc() && at == end)
    return integer;
  double number = 0;
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && at == end && std::isfinite(number)) return number;
  return text;
}

}  // namespace

std::string json_line(const Json& value) { return compact_json(value) + "\n"; }
std::string json_text(const Json& value) { return pretty_json(value) + "\n"; }

Json decibels_json(double decibels) {
  if (std::isfinite(decibels)) return decibels;
  return decibels > 0 ? Json() : Json("-inf");
}

Json facts_json(const std::vector<std::pair<std::string, std::string>>& facts) {
  Json object = Json::object();
  for (const auto& [key, value] : facts) {
    std::string name = key;
    for (char& c : name)
      if (c == ' ' || c == '-') c = '_';
    object[name] = fact_value(value);
  }
  return object;
}

}  // namespace strata
