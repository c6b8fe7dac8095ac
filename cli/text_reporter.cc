#include "cli/text_reporter.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "cli/amounts.h"
#include "cli/failure.h"
#include "cli/terminal.h"

namespace strata {

TextReporter::TextReporter(Sink sink, TextStyle style) : sink_(std::move(sink)), style_(std::move(style)) {}

TextReporter::~TextReporter() { clear_status(); }

void TextReporter::clear_status() {
  if (status_shown_) sink_("\r\x1b[K");
  status_shown_ = false;
}

void TextReporter::draw_status() {
  if (!style_.live || status_.total == 0) return;
  status_.elapsed = pass_timer_.seconds();
  status_.left = eta_.seconds_left();
  // A full last column would make some terminals wrap.
  sink_("\r\x1b[K" + cut(status_line(status_), style_.width() - 1));
  status_shown_ = true;
}

void TextReporter::print(const std::string& line) {
  clear_status();
  sink_(line + "\n");
}

void TextReporter::run_start(const RunStart& run) {
  print(run.family.empty() ? fmt::format("{} {}", run.command, run.model)
                           : fmt::format("{} {} ({})", run.command, run.model, run.family));
  if (!style_.verbose) return;
  for (const auto& [key, value] : run.facts) print(fmt::format("  {}: {}", key, value));
}

void TextReporter::pass_start(const PassStart& pass) {
  status_ = {.pass = pass.name, .done = pass.done, .total = pass.layers, .left = std::nullopt};
  pass_timer_ = Timer();
  eta_ = Eta(pass.layers - pass.done);
  print(pass.done == 0 ? fmt::format("{}: {} layers", pass.name, pass.layers)
                       : fmt::format("{}: {} layers, {} of them done before", pass.name, pass.layers, pass.done));
  draw_status();
}

void TextReporter::layer_done(const LayerDone& layer) {
  eta_.layer_done(layer.kind, layer.seconds);
  status_.done = layer.index + 1;
  status_.bytes_read += layer.bytes_read;
  status_.resident = layer.resident;
  const std::string line = layer_line(layer, style_.verbose);
  print(style_.live ? cut(line, style_.width()) : line);
  draw_status();
}

void TextReporter::decision(const std::string& subject, const std::string& text) {
  if (!decisions_.emplace(subject, text).second) return;
  constexpr std::string_view title = "decision:";
  const std::string lines =
      wrapped(fmt::format("{} {}", title, one_line(fmt::format("{}: {}", subject, text))), style_.text_width(), 4);
  print(colored(title, Color::yellow, style_.color) + lines.substr(title.size()));
  draw_status();
}

void TextReporter::run_end(const RunEnd& run) {
  status_.total = 0;
  print(fmt::format("done in {}, peak memory {}", seconds_text(run.seconds), human_bytes(run.peak_resident)));
}

}  // namespace strata
