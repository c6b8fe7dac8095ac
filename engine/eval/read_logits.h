// A pass that makes the logits of all lanes and hands them to a reader.
#pragma once

#include "engine/graph/pass_type.h"
#include "engine/measure/logits_reader.h"

namespace strata {

// It is no entry of engine/passes: a forward names it. `PassQuestion::reader` must be set.
extern const PassType read_logits;

}  // namespace strata
