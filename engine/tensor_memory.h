// The memory of libtorch's tensors on the CPU. Blocks are kept for reuse: the interpreter asks for the same
// temporaries for every chunk of samples, and the system's heap splits them ever finer, beyond what a plan can
// foresee (docs/design.md, Memory).
#pragma once

#include <cstdint>

namespace strata {

// Makes libtorch take tensors of 64 KiB and more from here, for the rest of the process. Idempotent.
void use_own_tensor_memory();

// Bytes taken from the system so far: those in use and those kept.
std::uint64_t tensor_memory_bytes();

}  // namespace strata
