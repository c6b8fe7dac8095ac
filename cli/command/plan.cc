// strata plan: what quantize would write and need, known from headers alone.
#include <fmt/core.h>

#include <memory>

#include "base/bytes.h"
#include "base/error.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/quantize_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "engine/graph/graph.h"
#include "engine/run/quantize.h"

namespace strata::command {
namespace {

Json plan_json(const PlanSummary& plan) {
  Json result = {{"family", plan.family},
                 {"layers", plan.layers},
                 {"experts", plan.experts},
                 {"source_bytes", plan.source_bytes},
                 {"output_bytes", plan.output_bytes},
                 {"output_known", plan.output_known},
                 {"tensor_bytes", plan.tensor_bytes},
                 {"shards", plan.shards},
                 {"bits_per_parameter", plan.bits_per_parameter},
                 {"peak_memory", plan.peak_memory},
                 {"memory_limit", plan.memory_limit},
                 {"threads", plan.threads},
                 {"states_in_memory", plan.states_in_memory},
                 {"layers_in_flight", plan.layers_in_flight},
                 {"work_disk", plan.work_disk},
                 {"bytes_read", plan.bytes_read},
                 {"bytes_written", plan.bytes_written},
                 {"free_disk", plan.free_disk},
                 {"linears_per_format", Json::object()},
                 {"decisions", Json::array()},
                 {"nothing_quantized", plan.nothing.empty() ? Json() : Json(plan.nothing)}};
  for (const auto& [format, linears] : plan.linears_per_format) result["linears_per_format"][format] = linears;
  for (const auto& [subject, text] : plan.decisions)
    result["decisions"].push_back({{"subject", subject}, {"text", text}});
  return result;
}

Json names_json(const FactList& facts) {
  Json names = Json::array();
  for (const FactInfo* fact : facts) names.push_back(fact->name);
  return names;
}

Json graph_json(std::span<const SweepPlan> sweeps) {
  Json result = Json::array();
  for (const SweepPlan& sweep : sweeps) {
    Json passes = Json::array();
    for (const PassType* pass : sweep.passes)
      passes.push_back({{"name", pass->name},
                        {"version", pass->version},
                        {"reads", names_json(pass->reads)},
                        {"uses", names_json(pass->uses)},
                        {"writes", names_json(pass->writes)},
                        {"summary", pass->summary}});
    result.push_back({{"direction", direction_name(sweep.direction)}, {"passes", std::move(passes)}});
  }
  return result;
}

std::string verdict(std::uint64_t need, std::uint64_t limit, std::string_view of_what) {
  return fmt::format("{} of {} {}: {}", human_bytes(need), human_bytes(limit), of_what,
                     need <= limit ? "fits" : "DOES NOT FIT");
}

std::string plan_text(const std::string& model, const PlanSummary& plan) {
  Table table({Align::left, Align::left});
  table.row({"model", model});
  table.row({"family", fmt::format("{}, {} layers{}", plan.family, plan.layers,
                                   plan.experts > 0 ? fmt::format(", {} experts", plan.experts) : "")});
  table.row({"source", bytes_text(plan.source_bytes)});
  if (plan.output_known) {
    table.row({"output", fmt::format("{}, {} {}", bytes_text(plan.output_bytes), plan.shards,
                                     plan.shards == 1 ? "shard" : "shards")});
    table.row({"tensors", bytes_text(plan.tensor_bytes)});
  } else {
    table.row({"output", bytes_text(plan.output_bytes) + " at most: the run chooses formats"});
  }
  if (plan.output_known)
    table.row({"bits", plan.bits_per_parameter > 0
                           ? fmt::format("{:.3f} per quantized parameter, scales counted", plan.bits_per_parameter)
                           : "nothing is quantized"});
  for (const auto& [format, linears] : plan.linears_per_format)
    table.row({"format", fmt::format("{}: {} Linears", format, grouped(static_cast<std::uint64_t>(linears)))});
  table.row({"reads", bytes_text(plan.bytes_read)});
  table.row({"writes", bytes_text(plan.bytes_written)});
  table.row({"memory", plan.memory_limit > 0 ? verdict(plan.peak_memory, plan.memory_limit, "allowed by --max-memory")
                                             : human_bytes(plan.peak_memory) + " at the peak"});
  table.row(
      {"threads", fmt::format("{}{}", plan.threads, plan.states_in_memory ? "" : ", hidden states in a scratch file")});
  table.row({"disk", verdict(plan.output_bytes, plan.free_disk, "free")});
  if (plan.work_disk > 0)
    table.row({"work folder", fmt::format("{} at most, for the hidden states of {} layers", human_bytes(plan.work_disk),
                                          plan.output_known ? "three" : "all")});
  table.row({"when killed", fmt::format("at most {} layers are computed again", plan.layers_in_flight)});
  for (const auto& [subject, text] : plan.decisions) table.row({"decision", fmt::format("{}: {}", subject, text)});
  return table.print(result_width());
}

void print_plan(const QuantizeRequest& request, const PlanSummary& plan, bool graph, bool json) {
  const std::vector<SweepPlan>& sweeps = plan.sweeps;
  if (!json) return print_result(plan_text(request.places.model, plan) + (graph ? "\n" + graph_text(sweeps) : ""));
  Json result = plan_json(plan);
  if (graph) result["graph"] = graph_json(sweeps);
  print_result(json_text(result));
}

CommandBody declare(OptionSet& set) {
  const auto request = std::make_shared<QuantizeRequest>();
  const auto graph = std::make_shared<bool>(false);
  declare_quantize_options(set, *request);
  set.group("What to show");
  set.flag("--graph", "the passes of the run too, sweep by sweep", *graph);
  return [request, graph](const CommandContext& context) {
    complete_quantize_request(*request, false);
    const PlanSummary summary = plan_quantize(*request);
    print_plan(*request, summary, *graph, context.common.json);
    require_quantized(summary, *request);
    require_fit(summary, *request);
  };
}

}  // namespace

extern const Command plan{
    .name = "plan",
    .summary = "Show what quantize would write and need; touches nothing.",
    .usage = "MODEL --scheme FORMAT [options of quantize]",
    .example = "strata plan llama --scheme NVFP4A16 --max-memory 24GiB",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
