#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/lanes.h"

#include <ATen/core/Tensor.h>

#include "engine/sweep/boundary_keeper.h"
#include "formats/weight/weights.h"

namespace strata {

Finish Lanes::leave(std::size_t lane, std::int64_t block, at::Tensor& states) const {
  states = states.contiguous();
  const std::span<float> values(states.mutable_data_ptr<float>(), static_cast<std::size_t>(states.numel()));
  if (shape().type == BoundaryType::bf16) round_to_bf16(values);
  return keepers_.at(lane) == nullptr ? Finish() : keepers_.at(lane)->keep(block, values);
}

}  // namespace strata
