// strata plan: what quantize would write and need, known from headers alone.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>

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

double visits(const PlanSummary& plan) {
  return static_cast<double>(plan.bytes_read) / static_cast<double>(std::max<std::uint64_t>(1, plan.source_bytes));
}

std::optional<double> plan_seconds(const PlanSummary& plan) {
  double seconds = 0;
  for (const SweepCosts& costs : plan.costs) {
    if (!costs.time) return std::nullopt;
    seconds += costs.time->longest();
  }
  return seconds;
}

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
                 {"tensor_parallel", plan.tensor_parallel.sizes},
                 {"nothing_quantized", plan.nothing.empty() ? Json() : Json(plan.nothing)}};
  for (const auto& [format, linears] : plan.linears_per_format) result["linears_per_format"][format] = linears;
  for (const auto& [subject, text] : plan.decisions)
    result["decisions"].push_back({{"subject", subject}, {"text", text}});
  return result;
}

Json bytes_json(const std::vector<std::pair<std::string, std::uint64_t>>& rows) {
  Json result = Json::object();
  for (const auto& [holder, bytes] : rows) result[holder] = bytes + result.value(holder, std::uint64_t{0});
  return result;
}

// Beside what a plan of one format says: the sweeps one by one, and what is chosen between.
void add_sweeps(const PlanSummary& plan, Json& result) {
  result["units"] = plan.units;
  result["options"] = Json::object();
  for (const auto& [format, units] : plan.options) result["options"][format] = units;
  result["visits"] = visits(plan);
  result["seconds"] = plan_seconds(plan) ? Json(*plan_seconds(plan)) : Json();
  result["sweeps"] = Json::array();
  for (std::size_t i = 0; i < plan.sweeps.size(); ++i) {
    const SweepCosts& costs = plan.costs[i];
    Json passes = Json::array();
    for (const PassType* pass : plan.sweeps[i].passes) passes.push_back(pass->name);
    result["sweeps"].push_back({{"direction", direction_name(plan.sweeps[i].direction)},
                                {"passes", std::move(passes)},
                                {"lanes", costs.lanes},
                                {"bytes_read", costs.bytes_read},
                                {"peak_memory", costs.peak_memory},
                                {"memory", bytes_json(costs.memory)},
                                {"disk", bytes_json(costs.disk)},
                                {"seconds", costs.time ? Json(costs.time->longest()) : Json()}});
  }
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

void add_choice(const PlanSummary& plan, Table& table) {
  if (plan.units == 0) return;
  table.row({"units", grouped(plan.units) + " that share a format each"});
  for (const auto& [format, units] : plan.options) table.row({"option", fmt::format("{} of {}", format, units)});
}

void add_work_folder(const PlanSummary& plan, Table& table) {
  if (plan.work_disk == 0) return;
  if (plan.output_known)
    return table.row({"work folder", human_bytes(plan.work_disk) + " at most, for the hidden states of three layers"});
  table.row({"work folder", human_bytes(plan.work_disk) + " at most"});
  for (std::size_t i = 0; i < plan.costs.size(); ++i)
    for (const auto& [holder, bytes] : plan.costs[i].disk)
      if (bytes > 0)
        table.row({"  of sweep " + std::to_string(i + 1), fmt::format("{} of {}", human_bytes(bytes), holder)});
}

// Of the sweep that takes most.
void add_memory(const PlanSummary& plan, Table& table) {
  const auto largest = std::ranges::max_element(plan.costs, {}, &SweepCosts::peak_memory);
  if (largest == plan.costs.end()) return;
  for (const auto& [holder, bytes] : largest->memory)
    if (bytes > 0) table.row({"  " + holder, human_bytes(bytes)});
}

void add_times(const PlanSummary& plan, Table& table) {
  const std::optional<double> all = plan_seconds(plan);
  if (!all) return;
  for (std::size_t i = 0; i < plan.sweeps.size(); ++i) {
    std::vector<std::string_view> names;
    for (const PassType* pass : plan.sweeps[i].passes) names.push_back(pass->name);
    table.row({fmt::format("sweep {}", i + 1),
               fmt::format("{}: {}, {}", about_text(plan.costs[i].time->longest()),
                           direction_name(plan.sweeps[i].direction), fmt::join(names, ", "))});
  }
  table.row({"time", about_text(*all) + " if this machine does nothing else, by a short measurement"});
}

std::string plan_text(const std::string& model, const PlanSummary& plan, bool verbose) {
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
  add_choice(plan, table);
  table.row({"reads", fmt::format("{}: {:.4g} {} of the source", bytes_text(plan.bytes_read), visits(plan),
                                  visits(plan) == 1 ? "visit" : "visits")});
  table.row({"writes", bytes_text(plan.bytes_written)});
  table.row({"memory", plan.memory_limit > 0 ? verdict(plan.peak_memory, plan.memory_limit, "allowed by --max-memory")
                                             : human_bytes(plan.peak_memory) + " at the peak"});
  if (verbose) add_memory(plan, table);
  table.row(
      {"threads", fmt::format("{}{}", plan.threads, plan.states_in_memory ? "" : ", hidden states in a scratch file")});
  table.row({"disk", verdict(plan.output_bytes, plan.free_disk, "free")});
  add_work_folder(plan, table);
  table.row({"tensor parallel", plan.tensor_parallel.text()});
  table.row({"when killed", fmt::format("at most {} layers are computed again", plan.layers_in_flight)});
  add_times(plan, table);
  for (const auto& [subject, text] : plan.decisions) table.row({"decision", fmt::format("{}: {}", subject, text)});
  return table.print(result_width());
}

void print_plan(const QuantizeRequest& request, const PlanSummary& plan, bool graph, const CommonOptions& common) {
  const std::vector<SweepPlan>& sweeps = plan.sweeps;
  if (!common.json)
    return print_result(plan_text(request.places.model, plan, common.verbose) +
                        (graph ? "\n" + graph_text(sweeps) : ""));
  Json result = plan_json(plan);
  add_sweeps(plan, result);
  if (graph) result["graph"] = graph_json(sweeps);
  print_result(json_text(result));
}

CommandBody declare(OptionSet& set) {
  const auto request = std::make_shared<QuantizeRequest>();
  const auto graph = std::make_shared<bool>(false), time = std::make_shared<bool>(false);
  declare_quantize_options(set, *request);
  set.group("What to show");
  set.flag("--graph", "the passes of the run too, sweep by sweep", *graph);
  set.flag("--time", "how long each sweep takes here; with -b always", *time);
  return [request, graph, time](const CommandContext& context) {
    complete_quantize_request(*request, false);
    const PlanSummary summary = plan_quantize(*request, *time || request->mixed.wanted());
    print_plan(*request, summary, *graph, context.common);
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
