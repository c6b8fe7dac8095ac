#include "engine/run/calibration.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/rounding/rounding.h"

namespace strata {

namespace {

// A format of about the same size that needs no data.
std::string uncalibrated(const NumberFormat& format) {
  const NumberFormat* const weights_only = find_number_format(std::string(format.name) + "A16");
  return weights_only != nullptr ? std::string(weights_only->name) : "FP8_DYNAMIC";
}

}  // namespace

bool needs_calibration(const OpenModel& model, const QuantizeOptions& options, const Assignment& assignment) {
  const NumberFormat* calibrated = nullptr;
  bool quantizes = false;
  for (const LinearPlan& linear : model.linears) {
    const NumberFormat& format = assignment.of(*linear.spec);
    if (format.calibrated_input && !assignment.copies_codes(*linear.spec)) calibrated = &format;
    quantizes = quantizes || !format.config_group.empty();
  }
  if (calibrated != nullptr && options.dataset.empty())
    fail(Fault::usage, "{}: stores a scale of the activations and needs --dataset FILE to measure them; {} does not",
         calibrated->name, uncalibrated(*calibrated));
  if (options.kv_cache_fp8 && !quantizes)
    fail(Fault::usage,
         "--kv-cache fp8: no Linear is quantized, and transformers does not load a config for the cache "
         "alone; leave it out, or quantize something");
  if (options.kv_cache_fp8 && options.dataset.empty())
    fail(Fault::usage, "--kv-cache fp8: stores scales of keys and values and needs --dataset FILE to measure them");
  const bool weighs = quantizes && !options.parity && require_rounding_method(options.method).weighs_columns;
  if (options.dataset.empty()) return false;
  // Also where nobody reads it: a name that is mistyped must not wait for the run that does.
  if (!exists(options.dataset)) fail(Fault::input, "{}: there is no such data set", options.dataset);
  if (!(calibrated != nullptr || options.kv_cache_fp8 || weighs)) return false;
  if (options.nsamples < 1 || options.seqlen < 1)
    fail(Fault::usage, "--nsamples {} --seqlen {}: both must be at least 1", options.nsamples, options.seqlen);
  const auto positions =
      checked_mul(static_cast<std::uint64_t>(options.nsamples), static_cast<std::uint64_t>(options.seqlen));
  if (!positions || *positions > (std::uint64_t{1} << 40))
    fail(Fault::usage, "--nsamples {} --seqlen {}: more than 2^40 tokens", options.nsamples, options.seqlen);
  if (options.seqlen > model.spec->max_position)
    fail(Fault::input, "--seqlen {}: {} has only {} positions (max_position_embeddings)", options.seqlen,
         model.checkpoint.directory(), model.spec->max_position);
  return true;
}

std::uint64_t data_memory(const QuantizeOptions& options) {
  if (!exists(options.dataset)) return 0;  // said when it is opened
  // Estimates, on the safe side for the texts tried: a text and what is made of it, a vocabulary's tables.
  constexpr std::uint64_t text_factor = 3, vocabulary_factor = 8;
  const std::string vocabulary = join_path(options.model, "tokenizer.json");
  return text_factor * file_size(options.dataset) +
         (exists(vocabulary) ? vocabulary_factor * file_size(vocabulary) : 0);
}

TokenRows calibration_tokens(const QuantizeOptions& options, const OpenModel& model) {
  const DatasetOptions dataset{.file = options.dataset,
                               .model_directory = options.model,
                               .part = options.part,
                               .add_special_tokens = options.add_special_tokens};
  TokenRows rows = token_windows(dataset, {.count = options.nsamples, .length = options.seqlen});
  check_tokens(rows, model.spec->vocabulary, model.spec->max_position, options.dataset);
  give_back_freed_memory();
  return rows;
}

}  // namespace strata
