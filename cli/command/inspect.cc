// strata inspect: what a checkpoint is, from its headers alone.
#include "engine/plan/inspect.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "formats/checkpoint/checkpoint.h"

namespace strata::command {
namespace {

struct InspectOptions {
  std::string model;
  bool tensors = false;
};

std::string file_of(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  return base_name(checkpoint.files()[static_cast<std::size_t>(tensor.file)].path());
}

Json report_json(const InspectReport& report) {
  Json result = {{"family", report.family.empty() ? Json() : Json(report.family)},
                 {"architecture", report.architecture},
                 {"layers", report.layers},
                 {"experts", report.experts},
                 {"top_k", report.top_k},
                 {"hidden", report.hidden},
                 {"vocabulary", report.vocabulary},
                 {"tied", report.tied},
                 {"quantized_as", report.quantized_as.empty() ? Json() : Json(report.quantized_as)},
                 {"leftover", report.leftover.empty() ? Json() : Json(report.leftover)},
                 {"tensors", report.tensors},
                 {"parameters", report.parameters},
                 {"bytes", report.bytes},
                 {"files", report.files},
                 {"kinds", Json::array()},
                 {"dtype_bytes", Json::object()},
                 {"unknown", report.unknown}};
  for (const InspectKind& kind : report.kinds)
    result["kinds"].push_back(
        {{"kind", kind.kind}, {"tensors", kind.tensors}, {"parameters", kind.parameters}, {"bytes", kind.bytes}});
  for (const auto& [dtype, bytes] : report.dtype_bytes) result["dtype_bytes"][dtype] = bytes;
  return result;
}

Json tensors_json(const Checkpoint& checkpoint) {
  Json list = Json::array();
  for (const TensorInfo& tensor : checkpoint.tensors())
    list.push_back({{"name", tensor.name},
                    {"dtype", dtype_name(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"bytes", tensor.bytes},
                    {"file", file_of(checkpoint, tensor)}});
  return list;
}

std::string facts_text(const InspectOptions& options, const InspectReport& report) {
  Table table({Align::left, Align::left});
  table.row({"model", options.model});
  table.row({"family", report.family.empty()
                           ? fmt::format("not known ({}); `strata profiles` lists those that are", report.architecture)
                           : fmt::format("{} ({})", report.family, report.architecture)});
  if (report.layers > 0) table.row({"layers", std::to_string(report.layers)});
  if (report.experts > 0) table.row({"experts", fmt::format("{}, {} for a token", report.experts, report.top_k)});
  if (report.hidden > 0) table.row({"hidden", std::to_string(report.hidden)});
  if (report.vocabulary > 0)
    table.row(
        {"vocabulary", fmt::format("{}{}", report.vocabulary, report.tied ? ", head tied to the embedding" : "")});
  if (!report.quantized_as.empty()) table.row({"quantized", report.quantized_as});
  if (!report.leftover.empty()) table.row({"quantized", "not, though config.json has a " + report.leftover});
  table.row({"tensors",
             fmt::format("{} in {} {}", grouped(report.tensors), report.files, report.files == 1 ? "file" : "files")});
  table.row({"parameters", grouped(report.parameters)});
  table.row({"size", bytes_text(report.bytes)});
  return table.print(result_width());
}

std::string kinds_text(const InspectReport& report) {
  Table table({Align::left, Align::right, Align::right, Align::right, Align::right});
  table.row({"kind", "tensors", "parameters", "bytes", "share"});
  for (const InspectKind& kind : report.kinds) {
    const double share =
        report.bytes > 0 ? 100 * static_cast<double>(kind.bytes) / static_cast<double>(report.bytes) : 0;
    table.row({kind.kind, grouped(kind.tensors), grouped(kind.parameters), grouped(kind.bytes),
               fmt::format("{:.1f}%", share)});
  }
  return table.print();
}

std::string dtypes_text(const InspectReport& report) {
  Table table({Align::left, Align::right, Align::right});
  table.row({"dtype", "bytes", ""});
  for (const auto& [dtype, bytes] : report.dtype_bytes) table.row({dtype, grouped(bytes), human_bytes(bytes)});
  return table.print();
}

std::string unknown_text(const InspectReport& report) {
  constexpr std::size_t most = 20;
  if (report.unknown.empty()) return "";
  std::string text = fmt::format("\nnot understood ({}):\n", report.unknown.size());
  for (std::size_t i = 0; i < std::min(most, report.unknown.size()); ++i)
    text += wrapped("  " + report.unknown[i], result_width(), 4) + "\n";
  if (report.unknown.size() > most)
    text += fmt::format("  and {} more; --json lists all\n", report.unknown.size() - most);
  return text;
}

std::string tensors_text(const Checkpoint& checkpoint) {
  Table table({Align::left, Align::left, Align::left, Align::right, Align::left});
  table.row({"tensor", "dtype", "shape", "bytes", "file"});
  for (const TensorInfo& tensor : checkpoint.tensors())
    table.row({tensor.name, std::string(dtype_name(tensor.dtype)), shape_text(tensor.shape), grouped(tensor.bytes),
               file_of(checkpoint, tensor)});
  return table.print();
}

void run(const InspectOptions& options, bool json) {
  require_given("MODEL", options.model, "the folder of the checkpoint to look at");
  const InspectReport report = strata::inspect(options.model);
  std::optional<Checkpoint> checkpoint;
  if (options.tensors) checkpoint.emplace(Checkpoint::open(options.model));
  if (json) {
    Json result = report_json(report);
    if (checkpoint) result["tensor_list"] = tensors_json(*checkpoint);
    print_result(json_text(result));
    return;
  }
  std::string text =
      facts_text(options, report) + "\n" + kinds_text(report) + "\n" + dtypes_text(report) + unknown_text(report);
  if (checkpoint) text += "\n" + tensors_text(*checkpoint);
  print_result(text);
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<InspectOptions>();
  set.group("Options");
  declare_model(set, "MODEL", "folder of the checkpoint", options->model);
  set.flag("--tensors", "list every tensor: dtype, shape, bytes, file", options->tensors);
  return [options](const CommandContext& context) { run(*options, context.common.json); };
}

}  // namespace

extern const Command inspect{
    .name = "inspect",
    .summary = "Show what a checkpoint is; reads headers only.",
    .usage = "MODEL [options]",
    .example = "strata inspect llama --tensors",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
