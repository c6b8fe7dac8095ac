#include "base/option_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/suggest.h"

namespace strata {
namespace {

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

constexpr std::string_view unit_names = "dhms";
constexpr double unit_seconds[] = {86400, 3600, 60, 1};

// "3h50m": numbers with units that become smaller; one number alone is seconds.
std::optional<double> seconds_of(std::string_view text) {
  constexpr double longest = 1e9;  // thirty years
  double total = 0;
  std::size_t next = 0;  // units before this one are used up
  for (bool first = true; first || !text.empty(); first = false) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || !(value >= 0) || value > longest) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (first && text.empty()) return value;
    const std::size_t unit = text.empty() ? std::string_view::npos : unit_names.find(text.front());
    if (unit == std::string_view::npos || unit < next) return std::nullopt;
    text.remove_prefix(1);
    total += value * unit_seconds[unit];
    next = unit + 1;
  }
  return total;
}

}  // namespace

std::vector<std::string> split_names(std::string_view names) {
  std::vector<std::string> parts;
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(','), names.size());
    parts.emplace_back(names.substr(0, comma));
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return parts;
}

std::string spoken_name(std::string_view names) {
  std::vector<std::string> all = split_names(names);
  const auto found = std::ranges::find_if(all, [](const std::string& name) { return name.starts_with("--"); });
  return found == all.end() ? all.front() : *found;
}

std::int64_t parse_count(std::string_view name, std::string_view text, std::int64_t largest) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(Fault::usage, "{}: '{}' is not a whole number", name, text);
  if (value < 1) fail(Fault::usage, "{}: {} is too small, it must be 1 or more", name, value);
  if (value > largest) fail(Fault::usage, "{}: {} is too large, it may be {} at most", name, value, largest);
  return value;
}

std::uint64_t parse_size(std::string_view name, std::string_view text) {
  const std::optional<std::uint64_t> bytes = parse_bytes(text);
  if (!bytes) fail(Fault::usage, "{}: '{}' is not a size (write 24GiB, 5GB or a number of bytes)", name, text);
  if (*bytes == 0) fail(Fault::usage, "{}: {} is too small, it must be 1 byte or more", name, text);
  return *bytes;
}

double parse_duration(std::string_view name, std::string_view text) {
  const std::optional<double> seconds = seconds_of(text);
  if (!seconds) fail(Fault::usage, "{}: '{}' is not a time (write 3h50m, 90s or a number of seconds)", name, text);
  if (*seconds <= 0) fail(Fault::usage, "{}: {} is too short, it must be more than 0", name, text);
  return *seconds;
}

std::size_t parse_choice(std::string_view name, std::string_view text, std::span<const std::string_view> words) {
  const auto found = std::ranges::find_if(words, [&](std::string_view word) { return same_word(word, text); });
  if (found == words.end())
    fail(Fault::usage, "{}: there is no '{}'{}", name, text,
         suggest(std::string(text), std::vector<std::string>(words.begin(), words.end())));
  return static_cast<std::size_t>(found - words.begin());
}

}  // namespace strata
