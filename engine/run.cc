// The story of `strata quantize`, top to bottom.
#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/timer.h"
#include "engine/assignment_file.h"
#include "engine/calibration.h"
#include "engine/output_folder.h"
#include "engine/prepare.h"
#include "engine/sweep.h"

namespace strata {
namespace {

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

// Formats of the output that no released vLLM loads, "" when there are none.
std::string not_served(const OutputPlan& plan) {
  std::string names;
  for (const auto& [name, count] : plan.linears_per_format)
    if (const NumberFormat& format = require_number_format(name);
        !format.config_group.empty() && format.serving.vllm.empty())
      names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace

void quantize(const QuantizeOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  require_output_free(options.output, options.model, options.force);
  require_work_directory(options.work_directory, options.output, options.model);

  const Prepared prepared = prepare(options, session);
  require_fit(summarize(prepared, options), options);
  // From here on the run fits, and every byte of the output has its place.

  const FileLock lock = lock_work_directory(options.work_directory);
  write_text(join_path(options.work_directory, "assignment.json"),
             assignment_json(prepared.model, prepared.assignment));
  report_start(prepared, options, reporter);
  const std::optional<TokenRows> tokens =
      prepared.calibrate ? std::optional(calibration_tokens(options, prepared.model)) : std::nullopt;
  if (!prepared.calibrate && !options.dataset.empty())
    reporter.decision(options.dataset, "not used: nothing in this run learns from it");

  ShardSink sink(prepared.output, options.output);
  RunContext run{.model = prepared.model,
                 .assignment = prepared.assignment,
                 .method = require_rounding_method(options.method),
                 .tokens = tokens ? &*tokens : nullptr,
                 .boundary = tokens ? make_boundary(*tokens, prepared.model) : nullptr,
                 .sink = sink,
                 .stop = options.stop};
  static constexpr std::array<std::string_view, 4> calibrated = {"observe", "propagate", "render", "assemble"};
  static constexpr std::array<std::string_view, 2> data_free = {"render", "assemble"};
  sweep(run, tokens ? std::span<const std::string_view>(calibrated) : data_free, reporter);
  // Every tensor is in its place in the partial folder; now it becomes the output, at once.
  check_interrupt(options.stop);
  require_output_free(options.output, options.model, options.force);  // hours may have passed since the first look
  sink.publish(prepared.model.checkpoint, options.force);

  RunEnd end{.seconds = timer.seconds(), .peak_resident = peak_resident_bytes()};
  end.facts = {{"output", options.output},
               {"bytes", std::to_string(prepared.output.total_bytes)},
               {"bits per parameter", prepared.output.bits_per_parameter > 0
                                          ? fmt::format("{:.3f}", prepared.output.bits_per_parameter)
                                          : std::string("none are quantized")},
               {"formats", formats_text(prepared.output)}};
  if (tokens) end.facts.emplace_back("calibration tokens", tokens->hash);
  if (const std::string names = not_served(prepared.output); !names.empty())
    end.facts.emplace_back("vLLM", fmt::format("does not load {}", names));
  reporter.run_end(end);
}

}  // namespace strata
