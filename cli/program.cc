#include "cli/program.h"

#include <fmt/core.h>
#include <unistd.h>

#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/failure.h"
#include "cli/help.h"
#include "cli/json_reporter.h"
#include "cli/parse_options.h"
#include "cli/reporters.h"
#include "cli/signals.h"
#include "cli/sink.h"
#include "cli/terminal.h"

namespace strata {
namespace {

const Command& require_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command* command : commands()) {
    if (command->name == name) return *command;
    names.emplace_back(command->name);
  }
  if (name.starts_with('-')) fail(Fault::usage, "{}: the command comes first: strata COMMAND [options]", name);
  fail(Fault::usage, "{}: there is no such command{}", name, suggest(name, names));
}

void report(const Failure& failure, const CommonOptions& common) {
  const Sink sink = stderr_sink();
  if (common.log_format == LogFormat::json) {
    JsonReporter(sink, {}).error(failure);
    return;
  }
  const bool color = use_color(common.color, STDERR_FILENO);
  sink(fmt::format("{} {}\n", colored("strata:", Color::red, color), failure.message));
}

void run_command(const Command& command, std::span<const std::string> arguments, CommonOptions& common) {
  const OptionSet common_set = common_option_set(common);
  OptionSet own;
  const CommandBody body = command.declare(own);
  parse_options(common_set, own, arguments);
  if (common.help) {
    print_result(command_help(command, own, common_set));
    return;
  }
  const StopFlag* stop = command.stoppable ? stop_on_signals(common.log_format == LogFormat::text) : nullptr;
  const std::unique_ptr<Reporter> progress = progress_reporter(common, {arguments.begin(), arguments.end()});
  body({.common = common, .arguments = arguments, .progress = *progress, .stop = stop});
}

}  // namespace

int run_program(std::span<const std::string> arguments) {
  CommonOptions common;
  try {
    if (arguments.empty()) {
      stderr_sink()(program_help(commands()));
      return exit_code(Fault::usage, 0);
    }
    const std::string& first = arguments.front();
    if (first == "--version")
      print_result(version_line() + "\n");
    else if (first == "--help" || first == "-h")
      print_result(program_help(commands()));
    else
      run_command(require_command(first), arguments.subspan(1), common);
    return 0;
  } catch (const std::exception&) {
    const Failure failure = current_failure(received_signal());
    report(failure, common);
    return failure.exit_code;
  }
}

}  // namespace strata
