#include "cache/fingerprint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"

namespace strata {

namespace {

// Paths may hold any bytes, JSON may not: what is no UTF-8 is replaced before it is compared or hashed, so that a
// fingerprint that was written and read again is the same.
std::string as_utf8(std::string_view text) {
  using nlohmann::ordered_json;
  return ordered_json::parse(ordered_json(text).dump(-1, ' ', false, ordered_json::error_handler_t::replace))
      .get<std::string>();
}

}  // namespace

void Fingerprint::add(std::string_view name, std::string_view value) {
  parts_.emplace_back(as_utf8(name), as_utf8(value));
}

std::string Fingerprint::hash() const {
  Hasher hasher;
  // Lengths keep ("ab", "c") and ("a", "bc") apart.
  for (const auto& [name, value] : parts_)
    hasher.add(fmt::format("{}:{}=", name.size(), name)).add(fmt::format("{}:{};", value.size(), value));
  return hasher.hex();
}

std::string Fingerprint::json() const {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : parts_) object[name] = value;
  return object.dump(2) + "\n";
}

std::optional<Fingerprint> Fingerprint::parse(std::string_view json) {
  const nlohmann::ordered_json object = nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  Fingerprint print;
  for (const auto& [name, value] : object.items()) {
    if (!value.is_string()) return std::nullopt;
    print.add(name, value.get<std::string>());
  }
  return print;
}

std::optional<std::string_view> Fingerprint::value(std::string_view name) const {
  const auto found = std::ranges::find(parts_, name, &std::pair<std::string, std::string>::first);
  return found == parts_.end() ? std::nullopt : std::optional<std::string_view>(found->second);
}

std::vector<std::string> Fingerprint::differences(const Fingerprint& older) const {
  std::vector<std::string> lines;
  for (const auto& [name, now] : parts_)
    if (const std::optional<std::string_view> before = older.value(name); before != now)
      lines.push_back(fmt::format("{}: {} -> {}", name, before.value_or("(none)"), now));
  for (const auto& [name, before] : older.parts_)
    if (!value(name)) lines.push_back(fmt::format("{}: {} -> (none)", name, before));
  return lines;
}

}  // namespace strata
