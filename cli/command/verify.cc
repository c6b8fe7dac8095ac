// strata verify: is an output whole, well formed and true to its source?
#include "engine/check/verify.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <span>

#include "base/error.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace strata::command {
namespace {

Json finding_json(const VerifyFinding& finding) {
  return {{"rule", finding.rule}, {"subject", finding.subject}, {"message", finding.message}};
}

Json report_json(const VerifyReport& report) {
  Json result = {{"ok", report.failures.empty()},
                 {"failures", Json::array()},
                 {"notes", Json::array()},
                 {"quality", Json::array()},
                 {"facts", facts_json(report.facts)}};
  for (const VerifyFinding& finding : report.failures) result["failures"].push_back(finding_json(finding));
  for (const VerifyFinding& finding : report.notes) result["notes"].push_back(finding_json(finding));
  for (const LinearQuality& linear : report.quality)
    result["quality"].push_back({{"linear", linear.module},
                                 {"format", linear.format},
                                 {"sqnr_db", decibels_json(linear.sqnr)},
                                 {"floor_db", linear.floor},
                                 {"flagged", linear.sqnr < linear.floor}});
  return result;
}

std::string findings_text(std::string_view title, const std::vector<VerifyFinding>& findings) {
  if (findings.empty()) return "";
  Table table({Align::left, Align::left, Align::left});
  table.row({"rule", "subject", std::string(title)});
  for (const VerifyFinding& finding : findings) table.row({finding.rule, finding.subject, finding.message});
  return "\n" + table.print(result_width());
}

std::string quality_text(const std::vector<LinearQuality>& quality) {
  constexpr std::size_t most = 10;
  if (quality.empty()) return "";
  Table table({Align::left, Align::left, Align::right, Align::right, Align::left});
  table.row({"Linear", "format", "SQNR dB", "expected", ""});
  for (const LinearQuality& linear : std::span(quality).first(std::min(most, quality.size())))
    table.row({linear.module, linear.format, fmt::format("{:.2f}", linear.sqnr), fmt::format("{}", linear.floor),
               linear.sqnr < linear.floor ? "low" : ""});
  return fmt::format("\nThe {} worst of {} Linears:\n{}", std::min(most, quality.size()), quality.size(),
                     table.print());
}

std::string report_text(const VerifyReport& report) {
  Table facts({Align::left, Align::left});
  for (const auto& [key, value] : report.facts) facts.row({key, value});
  facts.row({"verdict", report.failures.empty() ? "good" : fmt::format("{} failures", report.failures.size())});
  return facts.print(result_width()) + findings_text("what is wrong", report.failures) +
         findings_text("note", report.notes) + quality_text(report.quality);
}

void run(VerifyOptions& options, const CommandContext& context) {
  require_given("OUT", options.model, "the checkpoint to verify");
  options.stop = context.stop;
  const VerifyReport report = strata::verify(options);
  print_result(context.common.json ? json_text(report_json(report)) : report_text(report));
  if (report.failures.empty()) return;
  const VerifyFinding& first = report.failures.front();
  fail(Fault::check, "{}: {}: {}{}", first.subject, first.rule, first.message,
       report.failures.size() > 1 ? fmt::format(" (and {} more)", report.failures.size() - 1) : "");
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<VerifyOptions>();
  set.group("Options");
  declare_model(set, "OUT", "folder of the checkpoint to verify", options->model);
  const auto source = [options = options.get()](const std::string& text) {
    if (text.empty()) fail(Fault::usage, "--source: is empty");
    options->source = without_trailing_slash(text);
  };
  set.add({.names = {"--source"},
           .value = "MODEL",
           .help = "its source: kept tensors must be the same bytes",
           .set = source});
  set.flag("--deep", "decode everything; SQNR of each Linear", options->deep);
  return [options](const CommandContext& context) { run(*options, context); };
}

}  // namespace

extern const Command verify{
    .name = "verify",
    .summary = "Check that an output is whole, well formed and true to its source.",
    .usage = "OUT [--source MODEL] [--deep] [options]",
    .example = "strata verify llama-w4 --source llama",
    .stoppable = true,
    .declare = declare,
};

}  // namespace strata::command
