#include "engine/run/run_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/prices/allocation_summary.h"
#include "engine/run/measured_facts.h"
#include "engine/run/mixed_records.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

// Formats of the output that no released vLLM loads, "" when there are none.
std::string not_served(const OutputPlan& plan) {
  std::string names;
  for (const auto& [name, count] : plan.linears_per_format)
    if (const NumberFormat& format = require_number_format(name); format.quantizes() && format.serving.vllm.empty())
      names += (names.empty() ? "" : ", ") + name;
  return names;
}

// What the computing thread did with its time.
std::string bound_by(const StageTimes& times, double seconds) {
  const auto share = [&](Stage stage) { return 100 * times.seconds(stage) / std::max(seconds, 1e-9); };
  const double read = share(Stage::wait_for_read), write = share(Stage::wait_for_write);
  return fmt::format("computing {:.0f} %, waiting for reads {:.0f} %, for writes {:.0f} %",
                     std::max(0.0, 100 - read - write), read, write);
}

// Of a run that chose its formats: how, from its records, which are there also where an earlier run chose; and what was
// measured of that.
std::vector<std::pair<std::string, std::string>> chosen_facts(const RunPlan& plan, const QuantizeRequest& request) {
  const std::optional<ChosenRecord> record = chosen_record(plan, request);
  if (!record) return {};
  const MixedRequest& asked = request.mixed;
  const bool solved = asked.wanted() && !asked.measuring_chooses();
  std::vector<std::pair<std::string, std::string>> facts =
      solved ? allocation_facts(record->prices, allocate(record->prices, asked), asked)
             : allocation_facts(record->prices, record->chosen, {.price = asked.price});
  if (request.measures())
    for (auto& fact :
         measured_facts(record->prices, record->chosen, join_path(request.places.work_directory, work_names::measured)))
      facts.push_back(std::move(fact));
  return facts;
}

}  // namespace

void report_start(const RunPlan& plan, const PlacesRequest& places, Reporter& reporter) {
  RunStart start{.command = "quantize", .model = places.model, .family = plan.model.spec->family};
  start.facts = {{"layers", std::to_string(plan.model.spec->layers.size())},
                 {"formats", plan.output ? formats_text(*plan.output) : std::string("decided by the run")},
                 {"source", human_bytes(plan.model.checkpoint.total_bytes())},
                 {"output", plan.output ? human_bytes(plan.output->total_bytes) : std::string("decided by the run")},
                 {"peak memory", human_bytes(plan.peak_memory())}};
  reporter.run_start(start);
  for (const auto& [subject, text] : plan.decisions) reporter.decision(subject, text);
}

void report_resume(const RunLog& log, const SweepLog& sweep, const PlacesRequest& places, bool explain,
                   Reporter& reporter) {
  const ResumePoint& point = sweep.resume();
  const std::string differences = fmt::format("{}", fmt::join(log.differences(), "; "));
  const auto taken = std::ranges::count(point.done, 1);
  if (log.go_on())
    reporter.decision(places.work_directory,
                      fmt::format("goes on: {} of {} layers are taken over from an earlier run{}", taken,
                                  point.done.size(), differences.empty() ? "" : "; changed since: " + differences));
  else if (!differences.empty() || !log.reason().empty())
    reporter.decision(places.work_directory,
                      fmt::format("starts over: {}", differences.empty() ? log.reason() : differences));
  report_taken_over(sweep, explain, reporter);
}

void report_taken_over(const SweepLog& sweep, bool explain, Reporter& reporter) {
  for (const auto& [subject, text] : sweep.earlier_decisions()) reporter.decision(subject, text);
  if (!explain) return;
  const ResumePoint& point = sweep.resume();
  for (std::size_t i = 0; i < point.explanations.size(); ++i)
    reporter.decision(sweep.visit_name(i), point.explanations[i]);
}

void report_end(const RunPlan& plan, const QuantizeRequest& request, const StreamInput& input, const StageTimes& times,
                Reporter& reporter) {
  const PlacesRequest& places = request.places;
  RunEnd end{.seconds = input.timer.seconds(),
             .peak_resident = peak_resident_bytes(),
             .vllm_loads = plan.assignment->vllm_loads};
  end.facts = {{"output", places.output},
               {"bytes", std::to_string(plan.output->total_bytes)},
               {"bits per parameter", plan.output->bits_per_parameter > 0
                                          ? fmt::format("{:.3f}", plan.output->bits_per_parameter)
                                          : std::string("none are quantized")},
               {"formats", formats_text(*plan.output)},
               {"time", bound_by(times, end.seconds)}};
  if (input.tokens != nullptr) end.facts.emplace_back("calibration tokens", input.tokens->hash);
  if (const std::string names = not_served(*plan.output); !names.empty())
    end.facts.emplace_back("vLLM", fmt::format("does not load {}", names));
  for (auto& fact : chosen_facts(plan, request)) end.facts.push_back(std::move(fact));
  reporter.run_end(end);
}

void report_waiting(const PlacesRequest& places, const Timer& timer, Reporter& reporter) {
  reporter.run_end({.facts = {{"output", places.output}, {"waiting", "for the other processes that share it"}},
                    .seconds = timer.seconds(),
                    .peak_resident = peak_resident_bytes()});
}

void report_finished(const PlacesRequest& places, const Timer& timer, Reporter& reporter) {
  reporter.decision(places.output, "was complete already: the run that wrote it was stopped just after");
  reporter.run_end(
      {.facts = {{"output", places.output}}, .seconds = timer.seconds(), .peak_resident = peak_resident_bytes()});
}

void write_places(const PlacesRequest& places) {
  const nlohmann::ordered_json record = {{"output", resolved_path(places.output)},
                                         {"model", resolved_path(places.model)},
                                         {"work_directory", resolved_path(places.work_directory)}};
  write_text(join_path(places.work_directory, "run.json"),
             record.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace strata
