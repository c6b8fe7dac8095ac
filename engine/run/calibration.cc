#include "engine/run/calibration.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

namespace strata {

bool needs_calibration(const OpenModel& model, const CalibrationRequest& data, const Assignment& assignment,
                       std::span<const Collect> collects) {
  const NumberFormat* calibrated = nullptr;
  bool quantizes = false;
  for (const LinearPlan& linear : model.linears) {
    const NumberFormat& format = assignment.of(*linear.spec);
    if (format.calibrated_input && !assignment.copies_codes(*linear.spec)) calibrated = &format;
    quantizes = quantizes || format.quantizes();
  }
  if (calibrated != nullptr && data.dataset.empty())
    fail(Fault::usage, "{}: stores a scale of the activations and needs --dataset FILE to measure them; {} does not",
         calibrated->name, calibrated->without_data->name);
  if (assignment.kv_cache_fp8 && !quantizes)
    fail(Fault::usage,
         "--kv-cache fp8: no Linear is quantized, and transformers does not load a config for the cache "
         "alone; leave it out, or quantize something");
  if (assignment.kv_cache_fp8 && data.dataset.empty())
    fail(Fault::usage, "--kv-cache fp8: stores scales of keys and values and needs --dataset FILE to measure them");
  if (data.dataset.empty()) return false;
  // Also where nobody reads it: a name that is mistyped must not wait for the run that does.
  if (!exists(data.dataset)) fail(Fault::input, "{}: there is no such data set", data.dataset);
  if (std::ranges::all_of(collects, [](Collect wanted) { return wanted == Collect::nothing; })) return false;
  if (data.nsamples < 1 || data.seqlen < 1)
    fail(Fault::usage, "--nsamples {} --seqlen {}: both must be at least 1", data.nsamples, data.seqlen);
  const auto positions =
      checked_mul(static_cast<std::uint64_t>(data.nsamples), static_cast<std::uint64_t>(data.seqlen));
  if (!positions || *positions > (std::uint64_t{1} << 40))
    fail(Fault::usage, "--nsamples {} --seqlen {}: more than 2^40 tokens", data.nsamples, data.seqlen);
  if (data.seqlen > model.spec->max_position)
    fail(Fault::input, "--seqlen {}: {} has only {} positions (max_position_embeddings)", data.seqlen,
         model.checkpoint.directory(), model.spec->max_position);
  return true;
}

std::uint64_t data_memory(const QuantizeRequest& request, const OpenModel& model) {
  std::uint64_t text = 0;
  for (const std::string& file : {request.calibration.dataset, request.measure.held_out})
    if (exists(file)) text = std::max(text, file_size(file));  // else said when it is opened
  // Estimates, on the safe side for the texts tried: a text and what is made of it, a vocabulary's tables.
  constexpr std::uint64_t text_factor = 3, vocabulary_factor = 8;
  const std::string vocabulary = join_path(model.checkpoint.directory(), "tokenizer.json");
  return text_factor * text + (exists(vocabulary) ? vocabulary_factor * file_size(vocabulary) : 0);
}

MeasuredWindows held_out_tokens(const QuantizeRequest& request, const OpenModel& model) {
  const auto& [file, most, allow_tail] = request.measure;
  const DatasetOptions dataset{.file = file,
                               .model_directory = model.checkpoint.directory(),
                               .add_special_tokens = request.calibration.add_special_tokens};
  MeasuredWindows windows = file.ends_with(".safetensors")
                                ? measured_rows(file, MeasureRequest::window, most, *model.spec)
                                : measured_windows(dataset, MeasureRequest::window, most, *model.spec);
  const TokenRows& rows = windows.inputs;
  if (const std::int64_t room = most + MeasureRequest::window; rows.rows * rows.columns > room)
    fail(Fault::input, "{}: {} rows of up to {} ids take more than --heldout-tokens {}; give rows of one length", file,
         rows.rows, rows.columns, most);
  give_back_freed_memory();
  return windows;
}

TokenRows calibration_tokens(const CalibrationRequest& data, const OpenModel& model) {
  const DatasetOptions dataset{.file = data.dataset,
                               .model_directory = model.checkpoint.directory(),
                               .part = data.part,
                               .add_special_tokens = data.add_special_tokens};
  TokenRows rows = token_windows(dataset, {.count = data.nsamples, .length = data.seqlen});
  check_tokens(rows, model.spec->vocabulary, model.spec->max_position, data.dataset);
  give_back_freed_memory();
  return rows;
}

}  // namespace strata
