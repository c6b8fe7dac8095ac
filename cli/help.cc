#include "cli/help.h"

#include <fmt/core.h>

#include <string_view>

namespace strata {
namespace {

constexpr std::size_t help_column = 32;  // where the explanation of an option starts

// "-o, --output FOLDER": synonyms after the first long name are left out.
std::string left_side(const Option& option) {
  std::string text = option.names.front();
  if (!text.starts_with("--") && option.names.size() > 1)
    text += ", " + option.names[1];
  else if (text.starts_with("--"))
    text.insert(0, "    ");
  if (option.positional) text = option.names.front();
  return option.value.empty() ? text : text + " " + option.value;
}

std::string option_line(const Option& option) {
  std::string line = "  " + left_side(option);
  if (line.size() + 1 > help_column)
    line += "\n" + std::string(help_column, ' ');
  else
    line.resize(help_column, ' ');
  return line + option.help + "\n";
}

std::string option_lines(const OptionSet& set) {
  std::string text;
  for (const OptionSet::Group& group : set.groups()) {
    text += "\n";
    if (!group.title.empty()) text += group.title + ":\n";
    for (const Option& option : group.options) text += option_line(option);
  }
  return text;
}

}  // namespace

std::string command_help(const Command& command, const OptionSet& own, const OptionSet& common) {
  std::string text = fmt::format("strata {} {}\n{}\n", command.name, command.usage, command.summary);
  text += option_lines(own) + option_lines(common);
  if (!command.example.empty()) text += fmt::format("\nExample: {}\n", command.example);
  return text;
}

std::string program_help(std::span<const Command* const> commands) {
  std::string text =
      "strata COMMAND [options]\n"
      "Quantizes language models layer by layer, so that they need not fit in memory.\n\nCommands:\n";
  for (const Command* command : commands) text += fmt::format("  {:<10} {}\n", command->name, command->summary);
  text +=
      "\nOptions:\n"
      "  --help     show this help; `strata COMMAND --help` shows a command's\n"
      "  --version  show the version\n"
      "\nExit codes: 0 done, 1 internal error (or `diff --exit-code` found a difference),\n"
      "2 usage, 4 will not fit, 5 model or data, 6 check failed, 7 resume mismatch,\n"
      "8 another run at work, 9 read or write error, 75 stopped and can go on,\n"
      "130 and 143 interrupted.\n";
  return text;
}

std::string version_line() { return fmt::format("strata {}", STRATA_VERSION); }

}  // namespace strata
