// strata logits: the model's output for given tokens, streamed layer by layer.
#pragma once

#include <cstdint>
#include <string>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "engine/model/served.h"

namespace strata {

struct LogitsOptions {
  std::string model;   // a source or an output
  std::string tokens;  // .safetensors of ids
  std::string output;  // .safetensors: logits F32 [n, t, vocabulary]
  DecodeAs decode = DecodeAs::f32;
  ActivationMode activations = ActivationMode::none;
  std::string device = "cpu";
  int threads = 0;
  std::uint64_t max_memory = 0;  // bytes; 0 = what is available
  std::string work_directory;    // ForwardOptions::work_directory
  bool force = false;
  const StopFlag* stop = nullptr;
};

// Error{budget} when what it needs does not fit in memory.
void write_logits(const LogitsOptions& options, Reporter& reporter);

}  // namespace strata
