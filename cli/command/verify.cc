// strata verify: is an output whole, well formed and true to its source?
#include "engine/verify.h"

#include <fmt/core.h>

#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"

namespace strata::command {
namespace {

Json report_json(const VerifyReport& report) {
  Json result = {{"ok", report.failures.empty()}, {"failures", Json::array()}, {"facts", facts_json(report.facts)}};
  for (const VerifyFinding& finding : report.failures)
    result["failures"].push_back({{"rule", finding.rule}, {"subject", finding.subject}, {"message", finding.message}});
  return result;
}

std::string report_text(const VerifyReport& report) {
  Table facts({Align::left, Align::left});
  for (const auto& [key, value] : report.facts) facts.row({key, value});
  facts.row({"verdict", report.failures.empty() ? "good" : fmt::format("{} failures", report.failures.size())});
  if (report.failures.empty()) return facts.print();
  Table failures({Align::left, Align::left, Align::left});
  failures.row({"rule", "subject", "what is wrong"});
  for (const VerifyFinding& finding : report.failures) failures.row({finding.rule, finding.subject, finding.message});
  return facts.print() + "\n" + failures.print();
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
  return [options](const CommandContext& context) { run(*options, context); };
}

}  // namespace

extern const Command verify{
    .name = "verify",
    .summary = "Check that an output is whole, well formed and true to its source.",
    .usage = "OUT [--source MODEL] [options]",
    .example = "strata verify llama-w4 --source llama",
    .stoppable = true,
    .declare = declare,
};

}  // namespace strata::command
