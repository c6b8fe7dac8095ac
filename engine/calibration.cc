#include "engine/calibration.h"

#include "base/error.h"

namespace strata {

bool needs_calibration(const OpenModel& model, const QuantizeOptions& options, const Assignment& assignment) {
  const NumberFormat* calibrated = nullptr;
  for (const auto& [module, format] : assignment.formats)
    if (format->calibrated_input) calibrated = format;
  if (calibrated == nullptr) return false;
  if (options.dataset.empty())
    fail(Fault::usage, "{}: stores a scale of the activations and needs --dataset FILE to measure them; {}A16 does not",
         calibrated->name, calibrated->name);
  if (options.nsamples < 1 || options.seqlen < 1)
    fail(Fault::usage, "--nsamples {} --seqlen {}: both must be at least 1", options.nsamples, options.seqlen);
  if (options.seqlen > model.spec.max_position)
    fail(Fault::input, "--seqlen {}: {} has only {} positions (max_position_embeddings)", options.seqlen,
         model.checkpoint.directory(), model.spec.max_position);
  return true;
}

TokenRows calibration_tokens(const QuantizeOptions& options, const OpenModel& model) {
  const DatasetOptions dataset{.file = options.dataset,
                               .model_directory = options.model,
                               .part = options.part,
                               .add_special_tokens = options.add_special_tokens};
  TokenRows rows = token_windows(dataset, {.count = options.nsamples, .length = options.seqlen});
  check_tokens(rows, model.spec.vocabulary, model.spec.max_position, options.dataset);
  return rows;
}

std::unique_ptr<Boundary> make_boundary(const TokenRows& tokens, const OpenModel& model) {
  return std::make_unique<Boundary>(tokens.rows, tokens.columns, model.spec.hidden);
}

}  // namespace strata
