// Whether a run that chooses formats itself has something to choose, and a budget that can be met.
#pragma once

#include "engine/graph/pass_question.h"

namespace strata {

// Bytes of the output at most: everything that is not chosen for as the source has it, and the budget. Error{usage}
// with the smallest budget that works.
std::uint64_t require_budget(const PassQuestion& question);

}  // namespace strata
