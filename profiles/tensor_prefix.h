// The prefix under which the tensors of a decoder stand.
#pragma once

#include "formats/checkpoint/checkpoint.h"

namespace strata {

// Error{input} when the layers stand under another prefix than "model.": it names the prefix and what to do. Loaders
// of causal models know no other name for them, but for transformers, which adds the one that base models lack.
void require_usual_prefix(const Checkpoint& checkpoint);

}  // namespace strata
