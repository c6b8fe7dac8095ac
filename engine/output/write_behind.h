// Does writing while others compute: one thread, jobs in order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <thread>

#include "base/mutex.h"

namespace strata {

// Jobs run one after the other, in the order they came. When one throws, those after it are dropped and the next call
// here throws it again. Thread-safe.
class WriteBehind {
 public:
  using Job = std::function<void()>;
  using Ticket = std::uint64_t;  // of a job: how many were pushed, it included

  explicit WriteBehind(std::size_t most_waiting);  // push() waits while so many wait
  ~WriteBehind();                                  // finishes the job under way, drops the rest

  Ticket push(Job job);
  void wait(Ticket ticket);  // returns when that job is done; at once for 0
  void drain();              // returns when every job is done
  double seconds_busy() const;

 private:
  void run(const std::stop_token& stop);

  const std::size_t most_waiting_;
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> waiting_ STRATA_GUARDED_BY(mutex_);
  Ticket pushed_ STRATA_GUARDED_BY(mutex_) = 0;
  Ticket done_ STRATA_GUARDED_BY(mutex_) = 0;
  std::exception_ptr error_ STRATA_GUARDED_BY(mutex_);
  double seconds_ STRATA_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace strata
