#include "cli/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string_view>

namespace strata {
namespace {

// A signal handler is given nothing but the number: what it changes has to be reachable from here.
StopFlag stop{0};
std::atomic<bool> announce_stop{false};
static_assert(StopFlag::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

extern "C" void on_signal(int signal) {
  if (stop.exchange(signal) != 0) _exit(128 + signal);
  if (!announce_stop) return;
  constexpr std::string_view text = "\nstrata: stopping; once more to stop at once\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

const StopFlag* stop_on_signals(bool announce) {
  announce_stop = announce;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write, with the file's name
  std::signal(SIGPIPE, SIG_IGN);  // a log viewer that goes away must not end a run of hours
  return &stop;
}

int received_signal() { return stop.load(); }

}  // namespace strata
