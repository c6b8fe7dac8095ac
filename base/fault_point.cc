#include "base/fault_point.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace strata {

std::string_view operation_name(FileOperation operation) {
  static constexpr auto names = std::to_array<std::string_view>(
      {"open", "pread", "pwrite", "mmap", "fallocate", "ftruncate", "fsync", "fdatasync", "syncdir", "rename",
       "exchange", "unlink", "mkdir", "opendir", "submit", "enter"});
  static_assert(names.size() == static_cast<std::size_t>(FileOperation::enter) + 1);
  return names[static_cast<std::size_t>(operation)];
}

void set_fault_hook(FaultHook hook) { fault::installed.store(hook); }

namespace fault {

Interference ask(FaultHook hook, FileOperation operation, std::string_view path, std::string_view to) {
  const Interference planted = hook(operation, path, to);
  if (planted.kill_before) kill_process();
  return planted;
}

void kill_process() {
  ::kill(::getpid(), SIGKILL);
  std::abort();  // not reached: the signal cannot be held back
}

}  // namespace fault
}  // namespace strata
