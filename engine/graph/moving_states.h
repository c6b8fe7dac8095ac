// Hidden states that a sweep takes from layer to layer, as far as shapes go.
#pragma once

#include <cstddef>
#include <span>

#include "cache/boundary_shape.h"
#include "engine/graph/fact.h"

namespace strata {

struct MovingStates {
  const FactInfo* fact = nullptr;
  BoundaryShape shape = {};  // of one lane
  std::size_t lanes = 1;     // side by side

  std::int64_t positions() const { return shape.samples * shape.tokens; }  // of one lane
};

// Those of a fact; nullptr when there are none.
inline const MovingStates* find_states(std::span<const MovingStates> all, const FactInfo& fact) {
  for (const MovingStates& states : all)
    if (states.fact == &fact) return &states;
  return nullptr;
}

}  // namespace strata
