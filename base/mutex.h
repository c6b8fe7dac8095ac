// A mutex whose use clang checks: what it guards says so, and -Wthread-safety (an error in builds by clang) refuses to
// read or write that without it. https://clang.llvm.org/docs/ThreadSafetyAnalysis.html describes the attributes; other
// compilers see none of them.
#pragma once

#include <mutex>

#if defined(__clang__)
#define STRATA_THREAD_SAFETY(attribute) __attribute__((attribute))
#else
#define STRATA_THREAD_SAFETY(attribute)
#endif

// Of a member: only with this mutex held.
#define STRATA_GUARDED_BY(mutex) STRATA_THREAD_SAFETY(guarded_by(mutex))
// Of a function (and of a lambda that waits for a condition): its caller holds this mutex.
#define STRATA_REQUIRES(mutex) STRATA_THREAD_SAFETY(requires_capability(mutex))

namespace strata {

// std::mutex, for std::condition_variable_any to wait with.
class STRATA_THREAD_SAFETY(capability("mutex")) Mutex {
 public:
  void lock() STRATA_THREAD_SAFETY(acquire_capability()) { mutex_.lock(); }
  void unlock() STRATA_THREAD_SAFETY(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds a Mutex from here to the end of its scope, but where it is unlocked in between.
class STRATA_THREAD_SAFETY(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) STRATA_THREAD_SAFETY(acquire_capability(mutex)) : mutex_(mutex), held_(true) {
    mutex_.lock();
  }
  ~MutexLock() STRATA_THREAD_SAFETY(release_capability()) {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void unlock() STRATA_THREAD_SAFETY(release_capability()) {
    mutex_.unlock();
    held_ = false;
  }
  void lock() STRATA_THREAD_SAFETY(acquire_capability()) {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_;
};

}  // namespace strata
