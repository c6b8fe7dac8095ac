// strata profiles: the model families that Strata knows.
#include <fmt/ranges.h>

#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "profiles/profile.h"

namespace strata::command {
namespace {

void print_table() {
  Table table({Align::left, Align::left, Align::left});
  table.row({"family", "architectures", "what it is"});
  for (const Profile* profile : strata::profiles())
    table.row({std::string(profile->name), fmt::format("{}", fmt::join(profile->architectures, ", ")),
               std::string(profile->summary)});
  print_result(table.print());
}

Json list() {
  Json all = {{"profiles", Json::array()}};
  for (const Profile* profile : strata::profiles())
    all["profiles"].push_back({{"name", profile->name},
                               {"architectures", profile->architectures},
                               {"model_types", profile->model_types},
                               {"summary", profile->summary}});
  return all;
}

CommandBody declare(OptionSet&) {
  return [](const CommandContext& context) { context.common.json ? print_result(json_text(list())) : print_table(); };
}

}  // namespace

extern const Command profiles{
    .name = "profiles",
    .summary = "List the model families that Strata knows.",
    .usage = "[options]",
    .example = "",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
