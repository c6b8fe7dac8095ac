// The Linears of a part as the output will serve them: decoded from the very bytes that are written.
#pragma once

#include <cstdint>
#include <optional>

#include "base/leased_buffer.h"
#include "engine/model/layer_weights.h"

namespace strata {

class Desk;
struct Part;

class ServedRenders {
 public:
  // Puts those of facts::renders into `served`, weights and what is done to inputs, and the latter alone into `inputs`.
  // What was made before goes. Its pass reads facts::renders, assignment and moments, where input scales are looked up.
  void make(const Desk& desk, LayerWeights& served, LayerWeights& inputs);

  static std::uint64_t memory(const Part& part);  // bytes that make() holds

 private:
  std::optional<LeasedBuffer> room_;
};

}  // namespace strata
