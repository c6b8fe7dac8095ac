#include "cli/parse_options.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/suggest.h"

namespace strata {
namespace {

struct Declared {
  const Option* option;
  CLI::Option* parsed;
};

bool is_flag(const Option& option) { return option.value.empty() && !option.positional; }

std::vector<Declared> declare(CLI::App& app, const OptionSet& set) {
  std::vector<Declared> declared;
  for (const OptionSet::Group& group : set.groups())
    for (const Option& option : group.options) {
      const std::string names = fmt::format("{}", fmt::join(option.names, ","));
      CLI::Option* const parsed = is_flag(option) ? app.add_flag(names) : app.add_option(names);
      parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      declared.push_back({&option, parsed});
    }
  return declared;
}

std::vector<std::string> long_names(std::span<const Declared> declared) {
  std::vector<std::string> names;
  for (const Declared& one : declared)
    for (const std::string& name : one.option->names)
      if (name.starts_with("--")) names.push_back(name);
  return names;
}

// CLI11 takes whatever follows for the value, as getopt does: "-o --force" would write to a folder --force.
void require_values(std::span<const Declared> declared, std::span<const std::string> arguments) {
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i)
    for (const Declared& one : declared) {
      if (one.option->value.empty()) continue;
      const std::vector<std::string>& names = one.option->names;
      const bool named = std::find(names.begin(), names.end(), arguments[i]) != names.end();
      const bool cut = named && (i + 1 == arguments.size() || arguments[i + 1].starts_with("--"));
      const bool empty =
          arguments[i].ends_with('=') &&
          std::find(names.begin(), names.end(), arguments[i].substr(0, arguments[i].size() - 1)) != names.end();
      if (cut || empty) fail(Fault::usage, "{}: the value {} is missing", spoken_name(*one.option), one.option->value);
    }
}

void refuse_unknown(const CLI::App& app, std::span<const Declared> declared) {
  std::string surplus;
  for (const std::string& text : app.remaining()) {
    const std::string name = text.substr(0, text.find('='));
    if (name.starts_with("--") && name.size() > 2)
      fail(Fault::usage, "{}: there is no such option{}", name, suggest(name, long_names(declared)));
    if (name.starts_with('-') && name.size() > 1 && name != "--")
      fail(Fault::usage, "{}: there is no such option (--help lists them)", name);
    if (surplus.empty() && text != "--") surplus = text;
  }
  if (!surplus.empty()) fail(Fault::usage, "{}: one argument too many (--help shows what is expected)", surplus);
}

void set_values(const Declared& one) {
  const std::vector<std::string>& values = one.parsed->results();
  const std::string& name = spoken_name(*one.option);
  if (values.size() > 1 && !one.option->repeatable)
    fail(Fault::usage, "{}: given {} times: {}", name, values.size(), fmt::join(values, ", "));
  for (const std::string& value : values) {
    if (is_flag(*one.option) && value != "true") fail(Fault::usage, "{}: takes no value, but got '{}'", name, value);
    one.option->set(value);
  }
}

}  // namespace

std::vector<std::string> normalize_arguments(std::span<const std::string> arguments) {
  std::vector<std::string> normal(arguments.begin(), arguments.end());
  for (std::string& text : normal) {
    if (text == "--") break;
    if (!text.starts_with("--")) continue;
    const auto name_end = text.begin() + static_cast<std::ptrdiff_t>(std::min(text.find('='), text.size()));
    std::replace(text.begin(), name_end, '_', '-');
  }
  return normal;
}

void parse_options(const OptionSet& common, const OptionSet& own, std::span<const std::string> arguments) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  const std::vector<Declared> declared_common = declare(app, common);
  const std::vector<Declared> declared_own = declare(app, own);
  std::vector<Declared> declared = declared_own;
  declared.insert(declared.end(), declared_common.begin(), declared_common.end());

  const std::vector<std::string> normal = normalize_arguments(arguments);
  try {
    app.parse(std::vector<std::string>(normal.rbegin(), normal.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& error) {
    require_values(declared, normal);
    fail(Fault::usage, "command line: {}", error.what());
  }
  for (const Declared& one : declared_common) set_values(one);
  require_values(declared, normal);
  refuse_unknown(app, declared);
  for (const Declared& one : declared_own) set_values(one);
}

}  // namespace strata
