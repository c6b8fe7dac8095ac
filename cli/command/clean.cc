// strata clean: gives back the disk that an unfinished run holds.
#include <fmt/core.h>

#include <memory>

#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_reporter.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "engine/work/work_clean.h"
#include "engine/work/work_folder.h"

namespace strata::command {
namespace {

Json report_json(const std::string& folder, const CleanReport& report) {
  Json result = {{"work_directory", folder},
                 {"bytes", report.bytes},
                 {"removed", Json::array()},
                 {"kept", report.kept},
                 {"unknown", report.unknown}};
  for (const auto& [path, bytes] : report.removed) result["removed"].push_back({{"path", path}, {"bytes", bytes}});
  return result;
}

std::string report_text(const CleanReport& report) {
  Table table({Align::left, Align::right, Align::left});
  for (const auto& [path, bytes] : report.removed) table.row({"removed", grouped(bytes), path});
  for (const std::string& path : report.kept) table.row({"kept", "", path});
  for (const std::string& path : report.unknown) table.row({"not ours", "", path});
  return table.print() + fmt::format("{} given back\n", bytes_text(report.bytes));
}

CommandBody declare(OptionSet& set) {
  const auto folder = std::make_shared<std::string>();
  set.group("Options");
  set.positional("WORK", "work directory of a run, such as OUT.work", *folder);
  return [folder](const CommandContext& context) {
    require_given("WORK", *folder, "the work directory of the run to clean up after");
    const std::string place = without_trailing_slash(*folder);
    const CleanReport report = clean_work(place);
    if (exists(join_path(place, work_names::events))) JsonReporter(events_sink(place), {}).cleaned(report.bytes);
    print_result(context.common.json ? json_text(report_json(place, report)) : report_text(report));
  };
}

}  // namespace

extern const Command clean{
    .name = "clean",
    .summary = "Remove what an unfinished run keeps to go on with.",
    .usage = "WORK [options]",
    .example = "strata clean llama-w4.work",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
