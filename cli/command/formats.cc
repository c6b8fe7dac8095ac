// strata formats: the number formats and rounding methods that there are.
#include <fmt/core.h>

#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "engine/rounding.h"
#include "formats/number_format.h"

namespace strata::command {
namespace {

std::string bits(const NumberFormat& format) {
  return format.bits_per_weight > 0 ? fmt::format("{:.4g}", format.bits_per_weight) : "as source";
}

void print_table() {
  Table formats({Align::left, Align::right, Align::left, Align::left});
  formats.row({"format", "bits/weight", "calibration", "what it is"});
  for (const NumberFormat* format : number_formats())
    formats.row({std::string(format->name), bits(*format), format->calibrated_input ? "needed" : "-",
                 std::string(format->summary)});
  Table methods({Align::left, Align::left});
  methods.row({"method", "what it does"});
  for (const RoundingMethod* method : rounding_methods())
    methods.row({std::string(method->name), std::string(method->summary)});
  print_result(formats.print() + "\n" + methods.print());
}

Json list() {
  Json all = {{"formats", Json::array()}, {"methods", Json::array()}};
  for (const NumberFormat* format : number_formats())
    all["formats"].push_back({{"name", format->name},
                              {"bits_per_weight", format->bits_per_weight > 0 ? Json(format->bits_per_weight) : Json()},
                              {"needs_calibration", format->calibrated_input},
                              {"quantizes_activations", format->quantizes_input},
                              {"summary", format->summary}});
  for (const RoundingMethod* method : rounding_methods())
    all["methods"].push_back({{"name", method->name}, {"version", method->version}, {"summary", method->summary}});
  return all;
}

CommandBody declare(OptionSet&) {
  return [](const CommandContext& context) { context.common.json ? print_result(json_text(list())) : print_table(); };
}

}  // namespace

extern const Command formats{
    .name = "formats",
    .summary = "List the number formats and rounding methods.",
    .usage = "[options]",
    .example = "",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
