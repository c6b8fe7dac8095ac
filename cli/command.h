// A command of the program: `strata <name>`. One file each under cli/command.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "cli/common_options.h"
#include "cli/option_set.h"

namespace strata {

// What every command is given when it runs.
struct CommandContext {
  const CommonOptions& common;
  std::span<const std::string> arguments;  // as typed after the command's name
  Reporter& progress;                      // stderr
  const StopFlag* stop;
};

// Runs the command with the options that were parsed into it. Errors are thrown.
using CommandBody = std::function<void(const CommandContext&)>;

struct Command {
  std::string_view name;
  std::string_view summary;                    // one line of `strata --help`
  std::string_view usage;                      // what follows the name: "MODEL -o OUT --scheme S [options]"
  std::string_view example;                    // one command line that works; may be empty
  bool stoppable;                              // polls CommandContext::stop, so that SIGINT and SIGTERM may wait for it
  CommandBody (*declare)(OptionSet& options);  // adds the options; their values live in the body
};

std::span<const Command* const> commands();  // generated from cli/command/*.cc

}  // namespace strata
