#include "cli/reporters.h"

#include <unistd.h>

#include <algorithm>

#include "cli/json_reporter.h"
#include "cli/terminal.h"
#include "cli/text_reporter.h"

namespace strata {

void TeeReporter::run_start(const RunStart& run) {
  for (Reporter* one : to_) one->run_start(run);
}
void TeeReporter::pass_start(const PassStart& pass) {
  for (Reporter* one : to_) one->pass_start(pass);
}
void TeeReporter::layer_done(const LayerDone& layer) {
  for (Reporter* one : to_) one->layer_done(layer);
}
void TeeReporter::decision(const std::string& subject, const std::string& text) {
  for (Reporter* one : to_) one->decision(subject, text);
}
void TeeReporter::run_end(const RunEnd& run) {
  for (Reporter* one : to_) one->run_end(run);
}

void RecordingReporter::pass_start(const PassStart& started) {
  pass = started;
  layers_done = started.done;
  ++passes;
}
void RecordingReporter::layer_done(const LayerDone&) { ++layers_done; }
void RecordingReporter::decision(const std::string& subject, const std::string& text) {
  const std::pair<std::string, std::string> made(subject, text);
  if (std::find(decisions.begin(), decisions.end(), made) == decisions.end()) decisions.push_back(made);
}
void RecordingReporter::run_end(const RunEnd& run) { end = run; }

std::unique_ptr<Reporter> progress_reporter(const CommonOptions& options, std::vector<std::string> arguments) {
  std::unique_ptr<Reporter> progress;
  if (options.log_format == LogFormat::json)
    progress = std::make_unique<JsonReporter>(stderr_sink(), std::move(arguments));
  else
    progress = std::make_unique<TextReporter>(stderr_sink(),
                                              TextStyle{.live = is_terminal(STDERR_FILENO) && !options.quiet,
                                                        .color = use_color(options.color, STDERR_FILENO),
                                                        .verbose = options.verbose,
                                                        .width = [] { return terminal_width(STDERR_FILENO); },
                                                        .text_width = [] { return text_width(STDERR_FILENO); }});
  if (options.quiet) progress = std::make_unique<DecisionReporter>(std::move(progress));
  return progress;
}

}  // namespace strata
