// strata quantize: a checkpoint in, a quantized checkpoint out.
#include "engine/run/quantize.h"

#include <fmt/core.h>

#include <csignal>
#include <memory>

#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_reporter.h"
#include "cli/json_text.h"
#include "cli/quantize_options.h"
#include "cli/reporters.h"
#include "cli/shell_text.h"
#include "cli/signals.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace strata::command {
namespace {

Json result_json(const PlacesRequest& places, const RecordingReporter& record) {
  Json result = {{"output", places.output}, {"work_directory", places.work_directory}};
  result.update(facts_json(record.end.facts));
  result["seconds"] = record.end.seconds;
  result["peak_resident"] = record.end.peak_resident;
  result["decisions"] = Json::array();
  for (const auto& [subject, text] : record.decisions)
    result["decisions"].push_back({{"subject", subject}, {"text", text}});
  return result;
}

std::string result_text(const PlacesRequest& places, const RecordingReporter& record) {
  Table table({Align::left, Align::left});
  for (const auto& [key, value] : record.end.facts) table.row({key, value});
  table.row({"records", join_path(places.work_directory, "events.jsonl")});
  if (!is_directory(places.output)) return table.print(result_width());  // others that share it are not done
  const std::string output = shell_path(places.output), model = shell_path(places.model);
  table.command_row("check it", fmt::format("strata verify {} --source {}", output, model));
  table.command_row("measure it", fmt::format("strata eval {} --against {} --dataset FILE", output, model));
  if (record.end.vllm_loads) table.command_row("serve it", fmt::format("vllm serve {}", output));
  return table.print(result_width());
}

// The command line again. Errors are one line, and a very long one loses its middle.
std::string same_command(const PlacesRequest& places, const CommandContext& context) {
  constexpr std::size_t longest = 800;
  const std::string command = shell_command("quantize", context.arguments);
  return command.size() <= longest ? command
                                   : fmt::format("what `strata status {}` prints", shell_path(places.work_directory));
}

std::string_view stop_cause() {
  const int signal = received_signal();
  return signal == 0 ? "stopped by --deadline" : signal == SIGTERM ? "stopped by SIGTERM" : "interrupted";
}

// How far the run came and how to go on.
[[noreturn]] void fail_resumable(const PlacesRequest& places, const CommandContext& context,
                                 const RecordingReporter& record) {
  // A run that chooses formats goes through all layers, and commits them, before there is an output.
  const bool began = is_directory(places.output + ".partial") || record.layers_done > 0 || record.passes > 1;
  if (!began && received_signal() == 0)
    fail(Fault::resumable, "{}: {} before a layer was done; a longer --deadline is needed: {}", places.output,
         stop_cause(), same_command(places, context));
  if (!began)
    fail(Fault::resumable, "{}: {} before a layer was done; start again with: {}", places.output, stop_cause(),
         same_command(places, context));
  fail(Fault::resumable, "{}: {}, {} of {} layers are done; go on with: {}", places.output, stop_cause(),
       record.layers_done, record.pass.layers, same_command(places, context));
}

// Stopped where nothing can be taken over.
[[noreturn]] void fail_interrupted(const PlacesRequest& places, const CommandContext& context) {
  fail(Fault::interrupted, "{}: {}, nothing was written there; the same command starts over: {}", places.output,
       stop_cause(), same_command(places, context));
}

// An error ends the run, but not what it has done.
[[noreturn]] void fail_kept(const Error& error, const PlacesRequest& places) {
  fail(error.fault, "{}; what is done is kept: the same command goes on with it, `strata clean {}` removes it",
       error.what(), shell_path(places.work_directory));
}

// events.jsonl gets the failure too. Where the disk is full it cannot, and the failure itself matters more.
void record_failure(JsonReporter& events) {
  if (!events.started()) return;
  const Failure failure = current_failure(received_signal());
  try {
    events.error(failure);
  } catch (const Error&) {
    return;
  }
}

void run(const QuantizeRequest& request, const CommandContext& context) {
  const PlacesRequest& places = request.places;
  JsonReporter events(events_sink(places.work_directory), {context.arguments.begin(), context.arguments.end()});
  RecordingReporter record;
  TeeReporter all({&events, &context.progress, &record});  // what is shown is recorded already
  try {
    quantize(request, all);
  } catch (const Error& error) {
    record_failure(events);
    if (error.fault == Fault::resumable) fail_resumable(places, context, record);
    if (error.fault == Fault::interrupted) fail_interrupted(places, context);
    const bool began = record.pass.layers > 0 && error.fault != Fault::bug && error.fault != Fault::mismatch;
    if (began && is_directory(places.output + ".partial")) fail_kept(error, places);
    throw;
  } catch (const std::exception&) {
    record_failure(events);
    throw;
  }
  print_result(context.common.json ? json_text(result_json(places, record)) : result_text(places, record));
}

CommandBody declare(OptionSet& set) {
  const auto request = std::make_shared<QuantizeRequest>();
  declare_quantize_options(set, *request);
  return [request](const CommandContext& context) {
    complete_quantize_request(*request, true);
    request->stop = context.stop;
    run(*request, context);
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
