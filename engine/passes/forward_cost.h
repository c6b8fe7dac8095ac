// What samples take on their way through the layers.
#pragma once

#include "engine/graph/cost.h"

namespace strata {

// Hidden states, where each token goes, temporaries of the blocks under way, and files of states.
void states_cost(const CostQuestion& question, const MovingStates& states, CostSheet& sheet);

// What is collected of inputs while they are in `states`.
void moments_cost(const CostQuestion& question, const MovingStates& states, CostSheet& sheet);

}  // namespace strata
