#include "cli/json_reporter.h"

#include <fmt/chrono.h>

#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/json_text.h"

namespace strata {
namespace {

Json event(std::string_view name) {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  return {{"event", name},
          {"time", fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(second)),
                               (now - second).count())}};
}

}  // namespace

JsonReporter::JsonReporter(Sink sink, std::vector<std::string> arguments)
    : sink_(std::move(sink)), arguments_(std::move(arguments)) {}

void JsonReporter::run_start(const RunStart& run) {
  started_ = true;
  Json line = event("run_start");
  line["schema"] = 1;
  line["version"] = STRATA_VERSION;
  line["command"] = run.command;
  line["arguments"] = arguments_;
  std::error_code unknown;  // a folder that was removed has no name
  line["directory"] = std::filesystem::current_path(unknown).string();
  line["model"] = run.model;
  line["family"] = run.family;
  line["facts"] = facts_json(run.facts);
  sink_(json_line(line));
}

void JsonReporter::pass_start(const PassStart& pass) {
  Json line = event("pass_start");
  line["name"] = pass.name;
  line["layers"] = pass.layers;
  line["done"] = pass.done;
  sink_(json_line(line));
}

void JsonReporter::layer_done(const LayerDone& layer) {
  Json line = event("layer");
  line["index"] = layer.index;
  line["total"] = layer.total;
  line["name"] = layer.name;
  line["kind"] = layer.kind;
  line["formats"] = Json::object();
  for (const auto& [format, linears] : layer.formats) line["formats"][format] = linears;
  line["weight_error"] = layer.weight_error;
  line["seconds"] = layer.seconds;
  line["bytes_read"] = layer.bytes_read;
  line["bytes_written"] = layer.bytes_written;
  line["resident"] = layer.resident;
  sink_(json_line(line));
}

void JsonReporter::decision(const std::string& subject, const std::string& text) {
  Json line = event("decision");
  line["subject"] = subject;
  line["text"] = text;
  sink_(json_line(line));
}

void JsonReporter::run_end(const RunEnd& run) {
  Json line = event("run_end");
  line["facts"] = facts_json(run.facts);
  line["seconds"] = run.seconds;
  line["peak_resident"] = run.peak_resident;
  sink_(json_line(line));
}

void JsonReporter::error(const Failure& failure) {
  Json line = event("error");
  line["kind"] = failure.kind;
  line["message"] = failure.message;
  line["exit_code"] = failure.exit_code;
  sink_(json_line(line));
}

void JsonReporter::cleaned(std::uint64_t bytes) {
  Json line = event("clean");
  line["bytes"] = bytes;
  sink_(json_line(line));
}

}  // namespace strata
