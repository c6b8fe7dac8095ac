#include "cli/option_set.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/suggest.h"

namespace strata {
namespace {

std::vector<std::string> split_names(std::string_view names) {
  std::vector<std::string> parts;
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(','), names.size());
    parts.emplace_back(names.substr(0, comma));
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return parts;
}

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

const std::string& spoken_name(const Option& option) {
  const auto is_long = [](const std::string& name) { return name.starts_with("--"); };
  const auto found = std::find_if(option.names.begin(), option.names.end(), is_long);
  return found == option.names.end() ? option.names.front() : *found;
}

void OptionSet::group(std::string title) { groups_.push_back({std::move(title), {}}); }

void OptionSet::add(Option option) {
  if (groups_.empty()) group("");
  groups_.back().options.push_back(std::move(option));
}

void OptionSet::positional(std::string name, std::string help, std::string& target) {
  const auto set = [&target](const std::string& text) { target = text; };
  add({.names = {std::move(name)},
       .value = "",
       .help = std::move(help),
       .positional = true,
       .repeatable = false,
       .set = set});
}

void OptionSet::flag(std::string_view names, std::string help, bool& target) {
  const auto set = [&target](const std::string&) { target = true; };
  add({.names = split_names(names),
       .value = "",
       .help = std::move(help),
       .positional = false,
       .repeatable = true,
       .set = set});
}

void OptionSet::text(std::string_view names, std::string value, std::string help, std::string& target) {
  Option option{.names = split_names(names), .value = std::move(value), .help = std::move(help), .set = {}};
  option.set = [name = spoken_name(option), &target](const std::string& text) {
    if (text.empty()) fail(Fault::usage, "{}: the value is empty", name);
    target = text;
  };
  add(std::move(option));
}

void OptionSet::texts(std::string_view names, std::string value, std::string help, std::vector<std::string>& target) {
  const auto set = [&target](const std::string& text) { target.push_back(text); };
  add({.names = split_names(names),
       .value = std::move(value),
       .help = std::move(help),
       .positional = false,
       .repeatable = true,
       .set = set});
}

void OptionSet::count(std::string_view names, std::string help, std::int64_t& target) {
  Option option{.names = split_names(names), .value = "N", .help = std::move(help), .set = {}};
  option.set = [name = spoken_name(option), &target](const std::string& text) {
    target = parse_count(name, text, std::int64_t{1} << 40);
  };
  add(std::move(option));
}

void OptionSet::size(std::string_view names, std::string help, std::uint64_t& target) {
  Option option{.names = split_names(names), .value = "SIZE", .help = std::move(help), .set = {}};
  option.set = [name = spoken_name(option), &target](const std::string& text) { target = parse_size(name, text); };
  add(std::move(option));
}

void OptionSet::duration(std::string_view names, std::string help, double& target) {
  Option option{.names = split_names(names), .value = "TIME", .help = std::move(help), .set = {}};
  option.set = [name = spoken_name(option), &target](const std::string& text) { target = parse_duration(name, text); };
  add(std::move(option));
}

void OptionSet::choice(std::string_view names, std::vector<std::string> words, std::string help,
                       std::function<void(std::size_t)> choose) {
  Option option{.names = split_names(names),
                .value = fmt::format("{}", fmt::join(words, "|")),
                .help = std::move(help),
                .set = {}};
  option.set = [name = spoken_name(option), words = std::move(words),
                choose = std::move(choose)](const std::string& text) {
    const auto same = [&text](const std::string& word) { return same_word(word, text); };
    const auto found = std::find_if(words.begin(), words.end(), same);
    if (found == words.end()) fail(Fault::usage, "{}: there is no '{}'{}", name, text, suggest(text, words));
    choose(static_cast<std::size_t>(found - words.begin()));
  };
  add(std::move(option));
}

}  // namespace strata
