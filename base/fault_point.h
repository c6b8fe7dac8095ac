// Where tests make the machine fail. Every system call of base/ that reads or changes files comes through here.
//
// The hook is the one global variable of Strata. A full disk, a broken disk and a loss of power come from the machine:
// they strike the whole process, wherever a file is touched. As an argument the hook would stand in every signature
// down to the last system call and say nothing about the engine. Only test programs set it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <string_view>

namespace strata {

enum class FileOperation : std::uint8_t {
  open,
  pread,
  pwrite,
  mmap,
  fallocate,
  ftruncate,
  fsync,
  fdatasync,
  syncdir,  // fsync of a folder
  rename,
  exchange,
  unlink,
  mkdir,
  opendir,
  submit,  // one read for io_uring
  enter,   // the call that gives io_uring what is queued and waits
};
std::string_view operation_name(FileOperation operation);  // as the enumerator is spelled

// What happens to one system call.
struct Interference {
  int error = 0;                                                      // it fails with this errno and is not made
  std::uint64_t at_most = std::numeric_limits<std::uint64_t>::max();  // bytes that one read or write may take
  bool short_transfer = false;                                        // a read or write takes half of its bytes
  bool kill_before = false, kill_after = false;                       // the process dies as by `kill -9`

  // Of a read or write of `bytes`, how many it may take; never 0 of more than 0.
  std::uint64_t part_of(std::uint64_t bytes) const {
    const std::uint64_t most = std::max<std::uint64_t>(at_most, 1);
    return std::min(most, short_transfer ? bytes - bytes / 2 : bytes);
  }
};

// `to` is empty but for rename and exchange. Called by any thread, from destructors too: it must not throw.
using FaultHook = Interference (*)(FileOperation operation, std::string_view path, std::string_view to);

// For programs under tests/ only. nullptr takes the hook away.
void set_fault_hook(FaultHook hook);

namespace fault {
inline std::atomic<FaultHook> installed{nullptr};
// Asks the hook; does not return when it says kill_before.
Interference ask(FaultHook hook, FileOperation operation, std::string_view path, std::string_view to);
[[noreturn]] void kill_process();
}  // namespace fault

// What befalls a call that the caller makes in its own way, such as a submission to io_uring.
inline Interference fault_point(FileOperation operation, std::string_view path, std::string_view to = {}) {
  const FaultHook hook = fault::installed.load(std::memory_order_relaxed);
  return hook == nullptr ? Interference{} : fault::ask(hook, operation, path, to);
}

// Makes `call`, which gives a negative number and sets errno on failure, unless the hook decides otherwise.
template <typename Call>
auto guarded(FileOperation operation, std::string_view path, std::string_view to, Call call) -> decltype(call()) {
  const Interference planted = fault_point(operation, path, to);
  if (planted.error != 0) {
    errno = planted.error;
    return -1;
  }
  const auto result = call();
  if (planted.kill_after) fault::kill_process();
  return result;
}
template <typename Call>
auto guarded(FileOperation operation, std::string_view path, Call call) {
  return guarded(operation, path, {}, call);
}

// The same for a read or write of `bytes`: `call` gets how many it may take.
template <typename Call>
auto guarded_transfer(FileOperation operation, std::string_view path, std::uint64_t bytes, Call call)
    -> decltype(call(bytes)) {
  const Interference planted = fault_point(operation, path);
  if (planted.error != 0) {
    errno = planted.error;
    return -1;
  }
  const auto result = call(planted.part_of(bytes));
  if (planted.kill_after) fault::kill_process();
  return result;
}

}  // namespace strata
