// strata logits: the model's output for given tokens, streamed layer by layer.
#pragma once

#include <string>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "formats/number_format.h"

namespace strata {

enum class DecodeAs { f32, bf16 };  // bf16: every weight is rounded to bfloat16 after decoding, as transformers does
// Whether the inputs of Linears are quantized: not at all, or as one of the runtimes would.
enum class ActivationMode { none, vllm, transformers };

constexpr ActivationMode served_by(Runtime runtime) {
  return runtime == Runtime::vllm ? ActivationMode::vllm : ActivationMode::transformers;
}

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
