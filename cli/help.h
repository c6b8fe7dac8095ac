// What --help prints: 80 columns, a screen high.
#pragma once

#include <span>
#include <string>

#include "cli/command.h"
#include "cli/option_set.h"

namespace strata {

std::string command_help(const Command& command, const OptionSet& own, const OptionSet& common);
std::string program_help(std::span<const Command* const> commands);
std::string version_line();  // "strata 0.1.0"

}  // namespace strata
