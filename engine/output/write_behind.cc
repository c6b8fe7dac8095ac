#include "engine/output/write_behind.h"

#include <utility>

#include "base/timer.h"

namespace strata {

WriteBehind::WriteBehind(std::size_t most_waiting)
    : most_waiting_(most_waiting), thread_([this](const std::stop_token& stop) { run(stop); }) {}

WriteBehind::~WriteBehind() = default;

WriteBehind::Ticket WriteBehind::push(Job job) {
  const MutexLock lock(mutex_);
  changed_.wait(mutex_, [this]() STRATA_REQUIRES(mutex_) { return waiting_.size() < most_waiting_ || error_; });
  if (error_) std::rethrow_exception(error_);
  waiting_.push_back(std::move(job));
  changed_.notify_all();
  return ++pushed_;
}

void WriteBehind::wait(Ticket ticket) {
  const MutexLock lock(mutex_);
  changed_.wait(mutex_, [&]() STRATA_REQUIRES(mutex_) { return done_ >= ticket || error_; });
  if (error_) std::rethrow_exception(error_);
}

void WriteBehind::drain() {
  Ticket last = 0;
  {
    const MutexLock lock(mutex_);
    last = pushed_;
  }
  wait(last);
}

double WriteBehind::seconds_busy() const {
  const MutexLock lock(mutex_);
  return seconds_;
}

void WriteBehind::run(const std::stop_token& stop) {
  while (true) {
    Job job;
    {
      const MutexLock lock(mutex_);
      if (!changed_.wait(mutex_, stop, [this]() STRATA_REQUIRES(mutex_) { return !waiting_.empty(); })) return;
      if (stop.stop_requested()) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
      changed_.notify_all();
    }
    const Timer timer;
    std::exception_ptr error;
    try {
      job();
    } catch (...) {  // the thread goes on; push() or drain() throws it where somebody can answer
      error = std::current_exception();
    }
    job = nullptr;  // lets go of the memory it wrote from before anybody is told
    const MutexLock lock(mutex_);
    seconds_ += timer.seconds();
    ++done_;
    if (error) {
      error_ = error;
      waiting_.clear();
    }
    changed_.notify_all();
  }
}

}  // namespace strata
