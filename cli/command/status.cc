// strata status: how far a run is, from its work directory.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/eta.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/shell_text.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "engine/work/work_status.h"

namespace strata::command {
namespace {

std::optional<double> seconds_left(const WorkStatus& status) {
  if (status.state != RunState::running) return std::nullopt;
  Eta eta(status.layers - status.layers_done + static_cast<int>(status.times.size()));
  for (const auto& [kind, seconds] : status.times) eta.layer_done(kind, seconds);
  const std::optional<double> left = eta.seconds_left();
  return left ? std::optional(std::max(*left - status.since_last_event, 0.0)) : std::nullopt;
}

// The command that goes on where the run stopped; empty when there is nothing to go on with.
std::string next_command(const WorkStatus& status) {
  const bool stopped =
      status.state == RunState::interrupted || status.state == RunState::failed || status.state == RunState::killed;
  if (!stopped || status.command.empty()) return "";
  const std::string command = shell_command(status.command, status.arguments);
  const bool here = status.directory.empty() || status.directory == resolved_path(".");
  return here ? command : fmt::format("cd {} && {}", shell_path(status.directory), command);
}

Json known(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json status_json(const std::string& folder, const WorkStatus& status) {
  const std::optional<double> left = seconds_left(status);
  Json result = {{"work_directory", folder},
                 {"state", state_name(status.state)},
                 {"command", known(status.command)},
                 {"arguments", status.arguments},
                 {"directory", known(status.directory)},
                 {"version", known(status.version)},
                 {"model", known(status.model)},
                 {"family", known(status.family)},
                 {"output", known(status.output)},
                 {"started", known(status.started)},
                 {"last_event", known(status.last_event)},
                 {"pass", known(status.pass)},
                 {"layer", known(status.layer)},
                 {"layers_done", status.layers_done},
                 {"layers", status.layers},
                 {"bytes_read", status.bytes_read},
                 {"bytes_written", status.bytes_written},
                 {"resident", status.resident},
                 {"seconds", status.seconds},
                 {"seconds_left", left ? Json(*left) : Json()},
                 {"error", Json()},
                 {"continue", known(next_command(status))}};
  if (!status.error.empty())
    result["error"] = {{"kind", status.error_kind}, {"message", status.error}, {"exit_code", status.exit_code}};
  return result;
}

std::string state_text(const WorkStatus& status) {
  switch (status.state) {
    case RunState::running:
      return status.started.empty() ? "running, about to begin" : "running";
    case RunState::killed:
      return "killed: the process is gone and said nothing";
    case RunState::cleaned:
      return "cleaned: what it had done was removed";
    case RunState::failed:
      return fmt::format("failed with exit code {}", status.exit_code);
    default:
      return std::string(state_name(status.state));
  }
}

std::string status_text(const std::string& folder, const WorkStatus& status) {
  Table table({Align::left, Align::left});
  table.row({"work", folder});
  table.row({"state", state_text(status)});
  const auto row = [&table](std::string name, const std::string& text) {
    if (!text.empty()) table.row({std::move(name), text});
  };
  row("command", status.command);
  row("model", status.family.empty() ? status.model : fmt::format("{} ({})", status.model, status.family));
  row("output", status.output);
  row("pass", status.pass);
  if (status.layers > 0)
    row("layers", fmt::format("{} of {}{}", status.layers_done, status.layers,
                              status.layer.empty() ? "" : fmt::format(", the last: {}", status.layer)));
  if (!status.times.empty()) {
    row("read", bytes_text(status.bytes_read));
    row("written", bytes_text(status.bytes_written));
    row("memory", human_bytes(status.resident));
  }
  row("started", status.started);
  if (!status.started.empty()) row("time", clock_text(status.seconds));
  if (const std::optional<double> left = seconds_left(status)) row("left", clock_text(*left));
  row("error", status.error);
  if (const std::string next = next_command(status); !next.empty()) table.command_row("go on with", next);
  return table.print(result_width());
}

CommandBody declare(OptionSet& set) {
  const auto folder = std::make_shared<std::string>();
  set.group("Options");
  set.positional("WORK", "work directory of a run, such as OUT.work", *folder);
  return [folder](const CommandContext& context) {
    require_given("WORK", *folder, "the work directory of the run to look at");
    const std::string place = without_trailing_slash(*folder);
    const WorkStatus found = read_work_status(place);
    print_result(context.common.json ? json_text(status_json(place, found)) : status_text(place, found));
  };
}

}  // namespace

extern const Command status{
    .name = "status",
    .summary = "Show how far a run is, also while it is running.",
    .usage = "WORK [options]",
    .example = "strata status llama-w4.work",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
