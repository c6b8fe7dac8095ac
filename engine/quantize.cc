// The story of `strata quantize`, top to bottom.
#include "engine/quantize.h"

#include <array>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "base/timer.h"
#include "engine/calibration.h"
#include "engine/compute.h"
#include "engine/memory_plan.h"
#include "engine/output_folder.h"
#include "engine/sweep.h"

namespace strata {
namespace {

// What is known before the first weight is read.
struct Prepared {
  OpenModel model;
  Assignment assignment;
  OutputPlan output;
  bool calibrate = false;
  MemoryPlan memory;
};

Prepared prepare(const QuantizeOptions& options, const ComputeSession& session) {
  require_rounding_method(options.method);
  OpenModel model = open_model(options.model);
  Assignment assignment = assign_formats(model, options);
  const bool calibrate = needs_calibration(model, options, assignment);
  OutputPlan output = plan_output(model, assignment, options.shard_size);
  const MemoryQuestion question{.samples = calibrate ? options.nsamples : 0,
                                .tokens = calibrate ? options.seqlen : 0,
                                .threads = session.threads()};
  const MemoryPlan memory = plan_memory(model, assignment, question);
  return {std::move(model), std::move(assignment), std::move(output), calibrate, memory};
}

void require_fit(const Prepared& prepared, const QuantizeOptions& options) {
  const std::uint64_t peak = prepared.memory.peak();
  if (options.max_memory > 0 && peak > options.max_memory)
    fail(Fault::budget, "memory: the run needs {} but --max-memory is {}; the smallest limit that works is {}",
         human_bytes(peak), human_bytes(options.max_memory), peak);
  if (peak > available_memory_bytes() + resident_bytes())
    fail(Fault::budget, "memory: the run needs {} but {} are available{}", human_bytes(peak),
         human_bytes(available_memory_bytes()), prepared.calibrate ? "; fewer --nsamples need less" : "");
  const std::uint64_t free_disk = free_disk_bytes(options.output);
  if (prepared.output.total_bytes > free_disk)
    fail(Fault::budget, "{}: the output needs {} of disk but {} are free", options.output,
         human_bytes(prepared.output.total_bytes), human_bytes(free_disk));
}

std::string formats_text(const OutputPlan& plan) {
  std::string text;
  for (const auto& [name, count] : plan.linears_per_format) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

void report_start(const Prepared& prepared, const QuantizeOptions& options, Reporter& reporter) {
  RunStart start{.command = "quantize", .model = options.model, .family = prepared.model.spec.family};
  start.facts = {{"layers", std::to_string(prepared.model.spec.layers.size())},
                 {"formats", formats_text(prepared.output)},
                 {"source", human_bytes(prepared.model.checkpoint.total_bytes())},
                 {"output", human_bytes(prepared.output.total_bytes)},
                 {"peak memory", human_bytes(prepared.memory.peak())}};
  reporter.run_start(start);
  for (const auto& [subject, text] : prepared.assignment.decisions) reporter.decision(subject, text);
}

}  // namespace

PlanSummary plan_quantize(const QuantizeOptions& options) {
  const ComputeSession session(options.device, options.threads);
  const Prepared prepared = prepare(options, session);
  const ModelSpec& spec = prepared.model.spec;
  PlanSummary summary{.family = spec.family,
                      .layers = static_cast<int>(spec.layers.size()),
                      .source_bytes = prepared.model.checkpoint.total_bytes(),
                      .output_bytes = prepared.output.total_bytes,
                      .tensor_bytes = prepared.output.layout.tensor_bytes,
                      .shards = static_cast<int>(prepared.output.layout.shards.size()),
                      .bits_per_parameter = prepared.output.bits_per_parameter,
                      .peak_memory = prepared.memory.peak(),
                      .bytes_read = prepared.model.checkpoint.total_bytes(),
                      .bytes_written = prepared.output.total_bytes,
                      .free_disk = free_disk_bytes(options.output.empty() ? "." : options.output),
                      .linears_per_format = prepared.output.linears_per_format,
                      .decisions = prepared.assignment.decisions};
  for (const LayerSpec& layer : spec.layers)
    if (layer.moe() != nullptr) summary.experts = static_cast<int>(layer.moe()->experts.size());
  return summary;
}

void quantize(const QuantizeOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  require_output_free(options.output, options.model, options.force);

  const Prepared prepared = prepare(options, session);
  require_fit(prepared, options);
  // From here on the run fits, and every byte of the output has its place.

  const FileLock lock = lock_work_directory(options.work_directory);
  report_start(prepared, options, reporter);
  const std::optional<TokenRows> tokens =
      prepared.calibrate ? std::optional(calibration_tokens(options, prepared.model)) : std::nullopt;
  if (!prepared.calibrate && !options.dataset.empty())
    reporter.decision(options.dataset, "not used: no format of this run needs calibration");

  ShardSink sink(prepared.output, options.output);
  RunContext run{.model = prepared.model,
                 .assignment = prepared.assignment,
                 .method = require_rounding_method(options.method),
                 .tokens = tokens ? &*tokens : nullptr,
                 .boundary = tokens ? make_boundary(*tokens, prepared.model) : nullptr,
                 .sink = sink};
  static constexpr std::array<std::string_view, 4> calibrated = {"observe", "propagate", "render", "assemble"};
  static constexpr std::array<std::string_view, 2> data_free = {"render", "assemble"};
  sweep(run, tokens ? std::span<const std::string_view>(calibrated) : data_free, reporter, options.stop);
  // Every tensor is in its place in the partial folder; now it becomes the output, at once.
  check_interrupt(options.stop);
  sink.publish(prepared.model.checkpoint, options.force);

  RunEnd end{.seconds = timer.seconds(), .peak_resident = peak_resident_bytes()};
  end.facts = {{"output", options.output},
               {"bytes", std::to_string(prepared.output.total_bytes)},
               {"bits per parameter", fmt::format("{:.3f}", prepared.output.bits_per_parameter)},
               {"formats", formats_text(prepared.output)}};
  if (tokens) end.facts.emplace_back("calibration tokens", tokens->hash);
  reporter.run_end(end);
}

}  // namespace strata
