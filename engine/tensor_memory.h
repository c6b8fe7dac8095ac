// The memory of libtorch's tensors on the CPU. Blocks are kept for reuse: the interpreter asks for the same
// temporaries for every chunk of samples, the system's heap splits them ever finer, and fresh pages cost more
// than computing on them.
#pragma once

#include <cstdint>

namespace strata {

// Makes libtorch take tensors of 64 KiB and more from here, for the rest of the process. Idempotent.
void use_own_tensor_memory();

// Bytes taken from the system so far: those in use and those kept.
std::uint64_t tensor_memory_bytes();

}  // namespace strata
