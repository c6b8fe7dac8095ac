// How the weights of a checkpoint are stored, where its config.json and its tensors may say different things.
#pragma once

#include <string>

#include "formats/checkpoint/checkpoint.h"
#include "formats/config/quantization_config.h"
#include "formats/storage/stored_linear.h"
#include "profiles/model_spec.h"

namespace strata {

struct SourceStorage {
  QuantizationConfig stored;  // what compressed-tensors says; empty for dense and native sources
  NativeRules native;         // what other tools' storages are read by
  // What config.json says of a quantization that no tensor bears out: "quantization_config (quant_method gptq)". Such a
  // leftover counts for nothing; whoever reads the checkpoint says so. Empty when there is none.
  std::string leftover = {};
};

// Error{input} for weights of a tool that Strata does not read: names it, a tensor, and what to do.
void require_known_tool(const Checkpoint& checkpoint);

// Of a checkpoint of a known tool. Error{input} for a configuration of compressed-tensors that cannot be read.
SourceStorage find_storage(const Checkpoint& checkpoint, const ModelSpec& spec);

}  // namespace strata
