// strata logits: the model's output for given tokens, streamed layer by layer.
#pragma once

#include <string>

#include "base/interrupt.h"
#include "base/reporter.h"

namespace strata {

enum class DecodeAs { f32, bf16 };  // bf16: every weight is rounded to bfloat16 after decoding, as transformers does
enum class ActivationMode { none, served };  // served: inputs are quantized as the runtime would

struct LogitsOptions {
  std::string model;   // a source or an output
  std::string tokens;  // .safetensors of ids
  std::string output;  // .safetensors: logits F32 [n, t, vocabulary]
  DecodeAs decode = DecodeAs::f32;
  ActivationMode activations = ActivationMode::none;
  std::string device = "cpu";
  int threads = 0;
  bool force = false;
  const StopFlag* stop = nullptr;
};

void write_logits(const LogitsOptions& options, Reporter& reporter);

}  // namespace strata
