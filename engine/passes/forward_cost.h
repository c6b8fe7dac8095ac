// What samples take on their way through the layers.
#pragma once

#include "engine/graph/cost.h"

namespace strata {

// Hidden states, what is collected of inputs, temporaries of the blocks under way, and the files of states.
void forward_cost(const CostQuestion& question, CostSheet& sheet);

}  // namespace strata
