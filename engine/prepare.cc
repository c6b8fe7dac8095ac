#include "engine/prepare.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/calibration.h"
#include "engine/output_folder.h"
#include "engine/rounding.h"

namespace strata {

Prepared prepare(const QuantizeOptions& options, const ComputeSession& session) {
  require_rounding_method(options.method);
  OpenModel model = open_model(options.model);
  Assignment assignment = assign_formats(model, options);
  const bool calibrate = needs_calibration(model, options, assignment);
  OutputPlan output = plan_output(model, assignment, options.shard_size);
  const MemoryQuestion question{.samples = calibrate ? options.nsamples : 0,
                                .tokens = calibrate ? options.seqlen : 0,
                                .threads = session.threads(),
                                .columns = calibrate && require_rounding_method(options.method).weighs_columns};
  MemoryPlan memory = plan_memory(model, assignment, question);
  if (calibrate) memory.data = data_memory(options);
  return {std::move(model), std::move(assignment), std::move(output), calibrate, memory};
}

void require_fit(const PlanSummary& plan, const QuantizeOptions& options) {
  if (options.max_memory > 0 && plan.peak_memory > options.max_memory)
    fail(Fault::budget, "memory: the run needs {} but --max-memory is {}; the smallest limit that works is {}",
         human_bytes(plan.peak_memory), human_bytes(options.max_memory), plan.peak_memory);
  if (plan.peak_memory > plan.available_memory)
    fail(Fault::budget, "memory: the run needs {} but {} are available; fewer --nsamples or --threads need less",
         human_bytes(plan.peak_memory), human_bytes(plan.available_memory));
  if (plan.output_bytes > plan.free_disk)
    fail(Fault::budget, "{}: the output needs {} of disk but {} are free",
         options.output.empty() ? "." : options.output, human_bytes(plan.output_bytes), human_bytes(plan.free_disk));
}

std::string formats_text(const OutputPlan& plan) {
  std::string text;
  for (const auto& [name, count] : plan.linears_per_format)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

PlanSummary summarize(const Prepared& prepared, const QuantizeOptions& options) {
  const std::string place = options.output.empty() ? "." : options.output;
  const ModelSpec& spec = prepared.model.spec;
  PlanSummary summary{.family = spec.family,
                      .layers = static_cast<int>(spec.layers.size()),
                      .calibrate = prepared.calibrate,
                      .source_bytes = prepared.model.checkpoint.total_bytes(),
                      .output_bytes = prepared.output.total_bytes,
                      .tensor_bytes = prepared.output.layout.tensor_bytes,
                      .shards = static_cast<int>(prepared.output.layout.shards.size()),
                      .bits_per_parameter = prepared.output.bits_per_parameter,
                      .peak_memory = prepared.memory.peak(),
                      .bytes_read = prepared.model.checkpoint.total_bytes(),
                      .bytes_written = prepared.output.total_bytes,
                      .free_disk = free_disk_bytes(place) + stale_partial_bytes(place),
                      .available_memory = available_memory_bytes() + resident_bytes(),
                      .linears_per_format = prepared.output.linears_per_format,
                      .decisions = prepared.assignment.decisions};
  for (const LayerSpec& layer : spec.layers)
    if (layer.moe() != nullptr) summary.experts = static_cast<int>(layer.moe()->experts.size());
  return summary;
}

PlanSummary plan_quantize(const QuantizeOptions& options) {
  const ComputeSession session(options.device, options.threads);
  return summarize(prepare(options, session), options);
}

}  // namespace strata
