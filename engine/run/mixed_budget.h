// Whether a run that chooses formats itself has something to choose, and a budget that can be met.
#pragma once

#include "engine/graph/pass_question.h"

namespace strata {

// Error{usage} with the smallest budget that works.
void require_budget(const PassQuestion& question);

}  // namespace strata
