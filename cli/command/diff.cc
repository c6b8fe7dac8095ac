// strata diff: what is different between two checkpoints?
#include "engine/plan/diff.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "cli/failure.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace strata::command {
namespace {

struct Options {
  DiffOptions diff;
  std::int64_t lines = 40;
  bool exit_code = false;
};

std::string_view name_of(TensorDifference::Kind kind) {
  switch (kind) {
    case TensorDifference::Kind::only_a:
      return "only_a";
    case TensorDifference::Kind::only_b:
      return "only_b";
    default:
      return "different";
  }
}

std::uint64_t count_of(const DiffReport& report, TensorDifference::Kind kind) {
  std::uint64_t count = 0;
  for (const TensorDifference& difference : report.tensors) count += difference.kind == kind ? 1 : 0;
  return count;
}

std::uint64_t changed_formats(const DiffReport& report) {
  std::uint64_t count = 0;
  for (const LinearDifference& linear : report.linears) count += linear.a != linear.b ? 1 : 0;
  return count;
}

Json value_or_null(const std::string& json) { return json.empty() ? Json() : Json::parse(json); }

Json report_json(const DiffReport& report) {
  using Kind = TensorDifference::Kind;
  Json result = {{"same", report.same()},
                 {"equal_tensors", report.equal_tensors},
                 {"different_tensors", count_of(report, Kind::different)},
                 {"only_a_tensors", count_of(report, Kind::only_a)},
                 {"only_b_tensors", count_of(report, Kind::only_b)},
                 {"config", Json::array()},
                 {"tensors", Json::array()},
                 {"linears", Json::array()}};
  for (const ConfigDifference& key : report.config)
    result["config"].push_back({{"key", key.key}, {"a", value_or_null(key.a)}, {"b", value_or_null(key.b)}});
  for (const TensorDifference& tensor : report.tensors)
    result["tensors"].push_back({{"tensor", tensor.tensor}, {"state", name_of(tensor.kind)}, {"what", tensor.what}});
  for (const LinearDifference& linear : report.linears)
    result["linears"].push_back(
        {{"linear", linear.linear}, {"a", linear.a}, {"b", linear.b}, {"sqnr_db", decibels_json(linear.sqnr)}});
  return result;
}

std::string summary_text(const Options& options, const DiffReport& report) {
  using Kind = TensorDifference::Kind;
  Table table({Align::left, Align::left});
  table.row({"A", options.diff.a});
  table.row({"B", options.diff.b});
  table.row({"config", fmt::format("{} keys differ", report.config.size())});
  table.row({"formats", fmt::format("{} Linears differ", changed_formats(report))});
  table.row({"tensors", fmt::format("{} equal, {} different, {} only in A, {} only in B", report.equal_tensors,
                                    count_of(report, Kind::different), count_of(report, Kind::only_a),
                                    count_of(report, Kind::only_b))});
  if (!report.linears.empty())
    table.row({"weights", fmt::format("{} Linears differ in bytes, lowest SQNR {:.2f} dB", report.linears.size(),
                                      report.linears.front().sqnr)});
  table.row({"verdict", report.same() ? "the same" : "different"});
  return table.print(result_width());
}

std::string shown(const std::string& json) {
  if (json.empty()) return "(missing)";
  return json.size() <= 60 ? json : json.substr(0, 60) + "...";
}

std::vector<std::vector<std::string>> detail_rows(const DiffReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (const ConfigDifference& key : report.config)
    rows.push_back({"config", key.key, shown(key.a) + " -> " + shown(key.b)});
  for (const LinearDifference& linear : report.linears)
    if (linear.a != linear.b) rows.push_back({"format", linear.linear, linear.a + " -> " + linear.b});
  for (const LinearDifference& linear : report.linears)
    rows.push_back({"weights", linear.linear, fmt::format("{:.2f} dB", linear.sqnr)});
  for (const TensorDifference& tensor : report.tensors)
    rows.push_back({"tensor", tensor.tensor,
                    tensor.kind == TensorDifference::Kind::different ? tensor.what
                    : tensor.kind == TensorDifference::Kind::only_a  ? "only in A"
                                                                     : "only in B"});
  return rows;
}

std::string report_text(const Options& options, const DiffReport& report) {
  const std::vector<std::vector<std::string>> rows = detail_rows(report);
  if (rows.empty()) return summary_text(options, report);
  const std::size_t most = std::min(rows.size(), static_cast<std::size_t>(options.lines));
  Table table({Align::left, Align::left, Align::left});
  for (std::size_t i = 0; i < most; ++i) table.row(rows[i]);
  std::string text = summary_text(options, report) + "\n" + table.print(result_width());
  if (most < rows.size()) text += fmt::format("and {} more; --lines or --json shows them\n", rows.size() - most);
  return text;
}

void run(Options& options, const CommandContext& context) {
  require_given("A", options.diff.a, "two checkpoints to compare: strata diff A B");
  require_given("B", options.diff.b, "the second checkpoint: strata diff A B");
  options.diff.a = without_trailing_slash(options.diff.a);
  options.diff.b = without_trailing_slash(options.diff.b);
  options.diff.stop = context.stop;
  const DiffReport report = strata::diff(options.diff);
  print_result(context.common.json ? json_text(report_json(report)) : report_text(options, report));
  if (options.exit_code && !report.same())
    throw Different(fmt::format("{}: differs from {} in {} keys of config.json and {} tensors", options.diff.b,
                                options.diff.a, report.config.size(), report.tensors.size()));
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<Options>();
  set.group("Options");
  set.positional("A", "folder of a checkpoint", options->diff.a);
  set.positional("B", "folder of the one to compare with it", options->diff.b);
  set.flag("--exit-code", "exit with 1 when they differ", options->exit_code);
  set.count("--lines", "lines of detail at most (default 40)", options->lines);
  return [options](const CommandContext& context) { run(*options, context); };
}

}  // namespace

extern const Command diff{
    .name = "diff",
    .summary = "Show what is different between two checkpoints.",
    .usage = "A B [--exit-code] [options]",
    .example = "strata diff llama-w4 llama-nvfp4",
    .stoppable = true,
    .declare = declare,
};

}  // namespace strata::command
