// The engine's only voice: it never prints. cli/ prints these events, keeps them as events.jsonl, and
// tests record them. Calls come from one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace strata {

struct RunStart {
  std::string command;  // "quantize", "eval", ...
  std::string model;
  std::string family;
  std::vector<std::pair<std::string, std::string>> facts;  // further "key: value" lines, in order
};

struct PassStart {
  std::string name;  // what the sweep does: "decode, render", "evaluate"
  int layers = 0;    // of the model, pseudo-layers counted
  int done = 0;      // taken over from an earlier run: a LayerDone follows for each of the others
};

struct LayerDone {
  int index = 0, total = 0;                          // position in the sweep, from 0; pseudo-layers count
  std::string name;                                  // "embedding", "layer 3", "head"
  std::string kind;                                  // "dense", "moe", "embedding", "head"
  std::vector<std::pair<std::string, int>> formats;  // Linears written per number format
  double weight_error = 0;  // sqrt(sum (w - w')^2 / sum w^2) over the quantized Linears; 0 when none
  double seconds = 0;
  std::uint64_t bytes_read = 0, bytes_written = 0;
  std::uint64_t resident = 0;  // bytes of this process after the layer
};

struct RunEnd {
  std::vector<std::pair<std::string, std::string>> facts;  // "key: value" lines of the result, in order
  double seconds = 0;
  std::uint64_t peak_resident = 0;
  bool vllm_loads = false;  // a released vLLM is known to load the output
};

class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void run_start(const RunStart&) {}
  virtual void pass_start(const PassStart&) {}
  virtual void layer_done(const LayerDone&) {}
  // A decision that the user should know of: "model.layers.0.mlp.down_proj: kept in BF16, 200 columns do
  // not divide by 128". `subject` is the tensor or the file.
  virtual void decision(const std::string& /*subject*/, const std::string& /*text*/) {}
  virtual void run_end(const RunEnd&) {}
};

}  // namespace strata
