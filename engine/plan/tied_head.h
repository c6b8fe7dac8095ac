// The two ends of a model that may share one matrix: the embedding and the head.
#pragma once

#include "base/interrupt.h"
#include "formats/checkpoint/checkpoint.h"

namespace strata {

// Whether config.json says that one matrix serves as both: tie_word_embeddings, of the top level where it stands there.
bool config_ties_head(const Config& config);

// A tensor of a checkpoint.
struct TensorOf {
  const Checkpoint& checkpoint;
  const TensorInfo& tensor;
};

// Whether both have the same type, shape and bytes. Reads up to the first difference.
bool same_tensor(const TensorOf& a, const TensorOf& b, const StopFlag* stop = nullptr);

}  // namespace strata
