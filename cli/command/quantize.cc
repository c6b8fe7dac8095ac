// strata quantize: a checkpoint in, a quantized checkpoint out.
#include "engine/quantize.h"

#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_reporter.h"
#include "cli/json_text.h"
#include "cli/quantize_options.h"
#include "cli/reporters.h"
#include "cli/signals.h"
#include "cli/sink.h"
#include "cli/table.h"

namespace strata::command {
namespace {

Json result_json(const QuantizeOptions& options, const RecordingReporter& record) {
  Json result = {{"output", options.output}, {"work_directory", options.work_directory}};
  result.update(facts_json(record.end.facts));
  result["seconds"] = record.end.seconds;
  result["peak_resident"] = record.end.peak_resident;
  result["decisions"] = Json::array();
  for (const auto& [subject, text] : record.decisions)
    result["decisions"].push_back({{"subject", subject}, {"text", text}});
  return result;
}

std::string result_text(const QuantizeOptions& options, const RecordingReporter& record) {
  Table table({Align::left, Align::left});
  for (const auto& [key, value] : record.end.facts) table.row({key, value});
  table.row({"records", join_path(options.work_directory, "events.jsonl")});
  table.row({"check it", fmt::format("strata verify {} --source {}", options.output, options.model)});
  table.row({"measure it", fmt::format("strata eval {} --against {} --dataset FILE", options.output, options.model)});
  const bool served = std::ranges::find(record.end.facts, "vLLM", &std::pair<std::string, std::string>::first) ==
                      record.end.facts.end();
  if (served) table.row({"serve it", fmt::format("vllm serve {}", options.output)});
  return table.print();
}

// What an interrupt leaves behind and how to go on.
[[noreturn]] void fail_interrupted(const QuantizeOptions& options, const RecordingReporter& record) {
  const std::string partial = options.output + ".partial";
  fail(Fault::interrupted, "{}: {} after {} of {} layers, nothing was written there; the same command starts over{}",
       options.output, received_signal() == SIGTERM ? "SIGTERM" : "interrupted", record.layers_done, record.pass.layers,
       exists(partial) ? fmt::format(" and replaces {}", partial) : "");
}

// The journal gets the failure too. Where the disk is full it cannot, and the failure itself matters more.
void record_failure(JsonReporter& journal) {
  if (!journal.started()) return;
  const Failure failure = current_failure(received_signal());
  try {
    journal.error(failure);
  } catch (const Error&) {
    return;
  }
}

void run(const QuantizeOptions& options, const CommandContext& context) {
  JsonReporter journal(journal_sink(options.work_directory), {context.arguments.begin(), context.arguments.end()});
  RecordingReporter record;
  TeeReporter all({&context.progress, &journal, &record});
  try {
    quantize(options, all);
  } catch (const Error& error) {
    record_failure(journal);
    if (error.fault == Fault::interrupted) fail_interrupted(options, record);
    throw;
  } catch (const std::exception&) {
    record_failure(journal);
    throw;
  }
  print_result(context.common.json ? json_text(result_json(options, record)) : result_text(options, record));
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<QuantizeOptions>();
  declare_quantize_options(set, *options);
  return [options](const CommandContext& context) {
    complete_quantize_options(*options, true);
    options->stop = context.stop;
    run(*options, context);
  };
}

}  // namespace

extern const Command quantize{
    .name = "quantize",
    .summary = "Write a quantized checkpoint, layer by layer.",
    .usage = "MODEL -o OUT --scheme FORMAT [options]",
    .example = "strata quantize llama -o llama-w4 --scheme W4A16",
    .stoppable = true,
    .declare = declare,
};

}  // namespace strata::command
