#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/lanes.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "engine/sweep/boundary_keeper.h"
#include "formats/weight/weights.h"

namespace strata {

namespace {

std::span<float> values_of(at::Tensor& states) {
  states = states.contiguous();
  return {states.mutable_data_ptr<float>(), static_cast<std::size_t>(states.numel())};
}

}  // namespace

// Told in the order of the blocks, so that it is the same whatever the threads.
Finish Lanes::require_finite(std::size_t lane, std::int64_t block, at::Tensor& states) const {
  const std::optional<std::size_t> first = first_not_finite(values_of(states));
  if (!first) return {};
  const std::int64_t token = static_cast<std::int64_t>(*first) / shape().hidden;
  const std::int64_t window = block * shape().samples_per_block + token / shape().tokens;
  return [this, lane, place = fmt::format("window {}, token {}", window, token % shape().tokens)] {
    fail_not_finite(specs_.at(lane).model->checkpoint.directory(), values_, place);
  };
}

Finish Lanes::leave(std::size_t lane, std::int64_t block, at::Tensor& states) const {
  const std::span<float> values = values_of(states);
  if (shape().type == BoundaryType::bf16) round_to_bf16(values);
  if (Finish failed = require_finite(lane, block, states)) return failed;
  return keepers_.at(lane) == nullptr ? Finish() : keepers_.at(lane)->keep(block, values);
}

}  // namespace strata
