#include "cli/option_set.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/option_text.h"

namespace strata {

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
    const std::vector<std::string_view> all(words.begin(), words.end());
    choose(parse_choice(name, text, all));
  };
  add(std::move(option));
}

}  // namespace strata
