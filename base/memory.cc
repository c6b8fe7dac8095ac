#include "base/memory.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>

namespace strata {
namespace {

constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();

// The number after `key` in a "Key:   123 kB" file, in bytes; 0 when it is not there.
std::uint64_t field_kib(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stoull(line.substr(key.size())) * 1024;
  return 0;
}

std::uint64_t number_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t value = unknown;
  std::string text;
  if (file >> text) std::from_chars(text.data(), text.data() + text.size(), value);  // "max" leaves it unknown
  return value;
}

}  // namespace

std::uint64_t resident_bytes() { return field_kib("/proc/self/status", "VmRSS:"); }
std::uint64_t peak_resident_bytes() { return field_kib("/proc/self/status", "VmHWM:"); }

std::uint64_t total_memory_bytes() { return field_kib("/proc/meminfo", "MemTotal:"); }

std::uint64_t available_memory_bytes() {
  const std::uint64_t machine = field_kib("/proc/meminfo", "MemAvailable:");
  const std::uint64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::uint64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit == unknown || used == unknown) return machine;
  return std::min(machine, limit > used ? limit - used : 0);
}

void give_back_freed_memory() { ::malloc_trim(0); }

void keep_small_blocks() {
  ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_ARENA_MAX, 1);  // one heap for all threads: what one frees another can take
}

}  // namespace strata
