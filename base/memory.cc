#include "base/memory.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace strata {
namespace {

constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();

// The number after `key` at the start of a line; 0 when it is not there.
std::uint64_t number_after(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()));
  return 0;
}

// The same of a "Key:   123 kB" file, in bytes.
std::uint64_t field_kib(const std::string& path, std::string_view key) { return number_after(path, key) * 1024; }

std::uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = unknown;
  std::string text;
  if (file >> text) std::from_chars(text.data(), text.data() + text.size(), value);  // "max" leaves it unknown
  return value;
}

// The folders of the cgroup of this process and of those that hold it. In a container its own is the root.
std::vector<std::string> cgroup_folders() {
  std::ifstream file("/proc/self/cgroup");
  std::vector<std::string> folders;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::")) continue;
    for (std::string path = line.substr(3); path.size() > 1; path = path.substr(0, path.rfind('/')))
      folders.push_back("/sys/fs/cgroup" + path);
  }
  folders.emplace_back("/sys/fs/cgroup");
  return folders;
}

}  // namespace

std::uint64_t resident_bytes() { return field_kib("/proc/self/status", "VmRSS:"); }
std::uint64_t peak_resident_bytes() { return field_kib("/proc/self/status", "VmHWM:"); }

std::uint64_t total_memory_bytes() {
  std::uint64_t total = field_kib("/proc/meminfo", "MemTotal:");
  for (const std::string& folder : cgroup_folders()) total = std::min(total, number_in(folder + "/memory.max"));
  return total;
}

std::uint64_t available_memory_bytes() {
  std::uint64_t available = field_kib("/proc/meminfo", "MemAvailable:");
  for (const std::string& folder : cgroup_folders()) {
    const std::uint64_t limit = number_in(folder + "/memory.max"), used = number_in(folder + "/memory.current");
    if (limit == unknown || used == unknown) continue;
    // What is used includes the cache of files, which the kernel gives up when it is short.
    const std::uint64_t cached =
        number_after(folder + "/memory.stat", "inactive_file ") + number_after(folder + "/memory.stat", "active_file ");
    const std::uint64_t held = used - std::min(used, cached);
    available = std::min(available, limit - std::min(limit, held));
  }
  return available;
}

std::uint64_t usable_memory_bytes() { return available_memory_bytes() + resident_bytes(); }

void give_back_freed_memory() { ::malloc_trim(0); }

void keep_small_blocks() {
  ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  // One heap for all threads: what one frees another can take. Its lock is one too: measured with two threads only.
  ::mallopt(M_ARENA_MAX, 1);
}

}  // namespace strata
