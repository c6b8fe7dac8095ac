// Command line to option values. The only user of CLI11, whose header takes seconds to compile.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/option_set.h"

namespace strata {

// "--max_memory=1_000" -> "--max-memory=1_000": users of other quantizers type underscores in option
// names. Values, short options and whatever follows "--" are left as they are.
std::vector<std::string> normalize_arguments(std::span<const std::string> arguments);

// Sets the targets of both sets from `arguments` (what follows the command's name). The common options
// come first: they decide how an error in the others is shown. Error{usage} names the option: unknown (with
// a suggestion), without its value, given twice.
void parse_options(const OptionSet& common, const OptionSet& own, std::span<const std::string> arguments);

}  // namespace strata
