// What the machine has and what this process uses, in bytes.
#pragma once

#include <cstdint>

namespace strata {

std::uint64_t resident_bytes();          // of this process now (VmRSS)
std::uint64_t peak_resident_bytes();     // of this process so far (VmHWM)
std::uint64_t total_memory_bytes();      // of the machine, or of the cgroup that limits the process
std::uint64_t available_memory_bytes();  // MemAvailable, or less where a cgroup limits the process
std::uint64_t usable_memory_bytes();     // by this process: what it uses already and what is available

// Keeps freed blocks of up to 64 MiB in the heap: the interpreter frees and takes the same temporaries for
// every chunk of tokens, and fresh pages are far slower than used ones. Larger blocks go back
// to the system at once. Call once, at the top of main.
void keep_small_blocks();

// Returns what the heap keeps to the system: after a phase whose memory the next one does not need.
void give_back_freed_memory();

}  // namespace strata
