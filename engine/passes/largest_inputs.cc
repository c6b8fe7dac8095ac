#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/largest_inputs.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

namespace strata {

void LargestInputs::see(const LinearSpec& linear, const at::Tensor& x) {
  if (x.numel() == 0) return;
  float& largest = largest_[&linear];
  largest = std::max(largest, x.abs().max().item<float>());
}

void LargestInputs::merge(const LargestInputs& other) {
  for (const auto& [linear, value] : other.largest_) {
    float& mine = largest_[linear];
    mine = std::max(mine, value);
  }
}

std::optional<float> LargestInputs::find(const LinearSpec& linear) const {
  const auto found = largest_.find(&linear);
  return found == largest_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace strata
