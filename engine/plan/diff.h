// strata diff: what is different between two checkpoints. Streams both; memory for a few rows of one Linear.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/interrupt.h"

namespace strata {

struct DiffOptions {
  std::string a, b;  // folders
  const StopFlag* stop = nullptr;
};

struct ConfigDifference {
  std::string key;   // "quantization_config.config_groups.group_00.weights.num_bits"
  std::string a, b;  // as JSON; empty where the key is missing
};

struct TensorDifference {
  enum class Kind : std::uint8_t { different, only_a, only_b };
  std::string tensor;
  Kind kind = Kind::different;
  std::string what;  // "BF16 [16, 128] and F32 [16, 128]", "from byte 17 on"; empty where it is only in one
};

// A Linear whose tensors differ.
struct LinearDifference {
  std::string linear;
  std::string a, b;  // formats: "BF16", "NVFP4"
  // dB, of b's decoded weights against a's; infinity when they decode to the same, -infinity when a is 0 or a
  // weight is NaN.
  double sqnr = 0;
};

struct DiffReport {
  std::vector<ConfigDifference> config;   // in the order of the keys
  std::vector<TensorDifference> tensors;  // sorted by name
  std::vector<LinearDifference> linears;  // worst first
  std::uint64_t equal_tensors = 0;

  bool same() const { return config.empty() && tensors.empty(); }
};

// Error{input} when one of them does not open, or is of a family that is not known.
DiffReport diff(const DiffOptions& options);

}  // namespace strata
