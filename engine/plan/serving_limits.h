// What the runtimes do not take although the output is well formed.
#pragma once

#include "engine/plan/assignment.h"
#include "engine/plan/open_model.h"

namespace strata {

// Error{usage} for a format that no released runtime loads, unless it is allowed. Adds a decision for that and
// for each other place where vLLM or transformers does not load what was asked for (a head or router that is
// quantized, experts in a format or a mix that one of them does not take), or where vLLM's version or the hardware
// decides what it computes.
void note_serving_limits(const OpenModel& model, bool allow_unservable, Assignment& assignment);

}  // namespace strata
