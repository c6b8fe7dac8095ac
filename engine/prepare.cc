#include "engine/prepare.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/calibration.h"
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

}  // namespace strata
