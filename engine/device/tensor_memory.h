// The memory of libtorch's tensors on the CPU. Blocks are kept for reuse: the interpreter asks for the same
// temporaries for every chunk of samples, and the system's heap splits them ever finer, beyond what a plan can
// foresee (docs/design.md, Memory).
#pragma once

#include <cstdint>

#include "base/budget.h"

namespace strata {

// Makes libtorch take tensors of 64 KiB and more from here, for the rest of the process. Idempotent.
void use_own_tensor_memory();

// For as long as it lives, blocks are leased from `budget`; what it refuses is Error{budget} once no kept block is
// left to give back. One at a time in the process.
class TensorMemoryLimit {
 public:
  explicit TensorMemoryLimit(Budget& budget);
  ~TensorMemoryLimit();  // gives kept blocks back to the system
  TensorMemoryLimit(const TensorMemoryLimit&) = delete;
  TensorMemoryLimit& operator=(const TensorMemoryLimit&) = delete;

 private:
  Budget& budget_;
};

}  // namespace strata
