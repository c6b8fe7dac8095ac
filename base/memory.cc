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

// The number after `key` at the start of a line; 0 when it is not there.
std::uint64_t number_after(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()));
  return 0;
}

// The same of a "Key:   123 kB" file, in bytes.
std::uint64_t field_kib(const char* path, std::string_view key) { return number_after(path, key) * 1024; }

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

std::uint64_t total_memory_bytes() {
  return std::min(field_kib("/proc/meminfo", "MemTotal:"), number_in("/sys/fs/cgroup/memory.max"));
}

std::uint64_t available_memory_bytes() {
  const std::uint64_t machine = field_kib("/proc/meminfo", "MemAvailable:");
  const std::uint64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::uint64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit == unknown || used == unknown) return machine;
  // What is used includes the cache of files, which the kernel gives up when it is short.
  const std::uint64_t cached = number_after("/sys/fs/cgroup/memory.stat", "inactive_file ") +
                               number_after("/sys/fs/cgroup/memory.stat", "active_file ");
  const std::uint64_t held = used - std::min(used, cached);
  return std::min(machine, limit - std::min(limit, held));
}

void give_back_freed_memory() { ::malloc_trim(0); }

void keep_small_blocks() {
  ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_ARENA_MAX, 1);  // one heap for all threads: what one frees another can take
}

}  // namespace strata
