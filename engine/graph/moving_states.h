// Hidden states that a sweep takes from layer to layer, as far as shapes go.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cache/boundary_shape.h"
#include "engine/graph/fact.h"

namespace strata {

struct MovingStates {
  const FactInfo* fact = nullptr;
  BoundaryShape shape = {};              // of one lane
  std::size_t lanes = 1;                 // side by side
  std::vector<std::size_t> starts = {};  // visit within which each lane starts; empty: all are there from the first

  std::int64_t positions() const { return shape.samples * shape.tokens; }  // of one lane
  // Whether the lane has hidden states that enter a visit, and that leave it.
  bool enters(std::size_t lane, std::size_t visit) const { return starts.empty() || starts.at(lane) < visit; }
  bool leaves(std::size_t lane, std::size_t visit) const { return enters(lane, visit + 1); }
  // Lanes of which a block is encoded at once: those that start one after the other go one after the other.
  std::size_t abreast() const { return starts.empty() ? lanes : 1; }
};

// Those of a fact; nullptr when there are none.
inline const MovingStates* find_states(std::span<const MovingStates> all, const FactInfo& fact) {
  for (const MovingStates& states : all)
    if (states.fact == &fact) return &states;
  return nullptr;
}

}  // namespace strata
