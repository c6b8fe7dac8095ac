#include "engine/eval/evaluate.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/timer.h"
#include "engine/device/compute.h"
#include "engine/eval/forward_run.h"
#include "engine/eval/served_notes.h"
#include "engine/measure/divergence_meters.h"
#include "engine/measure/measured_windows.h"
#include "engine/plan/leftover.h"
#include "formats/text/text_notices.h"

namespace strata {
namespace {

// Windows of the dataset with one further token each, or the rows of a token file, cut to the window.
MeasuredWindows windows_of(const EvaluateOptions& options, const ModelSpec& spec) {
  if (options.window < 1 || options.max_tokens < 1)
    fail(Fault::usage, "--window {} --max-tokens {}: both must be at least 1", options.window, options.max_tokens);
  if (options.dataset.empty() == options.tokens.empty())
    fail(Fault::usage,
         "give the evaluation text with --dataset FILE or token ids with --tokens IDS.safetensors, one of them");
  if (!options.tokens.empty()) return measured_rows(options.tokens, options.window, options.max_tokens, spec);
  const DatasetOptions dataset{.file = options.dataset,
                               .model_directory = options.against,
                               .part = options.part,
                               .add_special_tokens = options.add_special_tokens};
  return measured_windows(dataset, options.window, options.max_tokens, spec);
}

void require_comparable(const OpenModel& reference, const OpenModel& model) {
  if (reference.spec->vocabulary != model.spec->vocabulary)
    fail(Fault::input, "{} has a vocabulary of {} but {} has {}; they cannot be compared", model.checkpoint.directory(),
         model.spec->vocabulary, reference.checkpoint.directory(), reference.spec->vocabulary);
}

}  // namespace

EvaluateResult evaluate(const EvaluateOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  const OpenModel reference = open_model(options.against);
  const OpenModel model = open_model(options.model);
  require_comparable(reference, model);
  const MeasuredWindows tokens = windows_of(options, *reference.spec);

  reporter.run_start({.command = "eval",
                      .model = options.model,
                      .family = model.spec->family,
                      .facts = {{"against", options.against},
                                {"windows", std::to_string(tokens.inputs.rows)},
                                {"tokens", tokens.inputs.hash}}});
  for (const OpenModel* const read : {&reference, &model}) report_leftover(*read, reporter);
  if (!options.dataset.empty())
    for (const auto& [subject, text] : text_notices(options.against, options.dataset)) reporter.decision(subject, text);
  note_served(model, options.activations, reporter);
  const bool both = options.activations != ActivationMode::none;
  std::vector<LaneSpec> lanes = {{.model = &reference}, {&model, options.decode, options.activations}};
  if (both) lanes.push_back({&model, options.decode, ActivationMode::none});
  DivergenceMeters meters(lanes.size(), tokens);
  run_forward({.lanes = lanes,
               .tokens = tokens.inputs,
               .threads = session.threads(),
               .max_memory = options.max_memory,
               .work_directory = options.work_directory,
               .device = options.device,
               .stop = options.stop},
              meters, reporter);

  EvaluateResult result{.asked = meters.of_lane(1)};
  if (both) result.weights_only = meters.of_lane(2);
  reporter.run_end({.facts = {{"kl_mean", fmt::format("{:.6g}", result.asked.kl_mean)}},
                    .seconds = timer.seconds(),
                    .peak_resident = peak_resident_bytes()});
  return result;
}

}  // namespace strata
