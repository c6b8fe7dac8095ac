// strata eval: how far a quantized model's output is from its source's, both streamed in one visit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "engine/measure/divergence.h"
#include "engine/model/served.h"
#include "formats/text/dataset.h"

namespace strata {

struct EvaluateOptions {
  std::string model;    // the quantized one
  std::string against;  // its source
  std::string dataset;  // text, or
  std::string tokens;   // a file of ids
  DatasetPart part = DatasetPart::all;
  bool add_special_tokens = false;
  std::int64_t window = 256, max_tokens = 16384;
  DecodeAs decode = DecodeAs::f32;  // of `model`; the source is read as it is
  ActivationMode activations = ActivationMode::vllm;
  std::string device = "cpu";
  int threads = 0;
  std::uint64_t max_memory = 0;  // bytes; 0 = what is available
  std::string work_directory;    // ForwardOptions::work_directory
  const StopFlag* stop = nullptr;
};

struct EvaluateResult {
  Divergence asked;                        // in the activation mode asked for
  std::optional<Divergence> weights_only;  // beside it unless that mode is `none`
};

// Error{budget} when what it needs does not fit in memory.
EvaluateResult evaluate(const EvaluateOptions& options, Reporter& reporter);

}  // namespace strata
