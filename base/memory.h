// What the machine has and what this process uses, in bytes.
#pragma once

#include <cstdint>

namespace strata {

std::uint64_t resident_bytes();        // of this process now (VmRSS)
std::uint64_t peak_resident_bytes();   // of this process so far (VmHWM)
std::uint64_t available_memory_bytes();  // MemAvailable, or less where a cgroup limits the process

// Makes freed blocks of 1 MiB and more go back to the system at once, so that resident memory follows
// what is alive. Call once, at the top of main.
void return_freed_memory();

}  // namespace strata
