// A fixed number of things that are lent and come back: memory for parts of a model on their way through a run.
#pragma once

#include <condition_variable>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace strata {

// Thread-safe. What is lent stays valid when the Lending itself is gone.
template <typename Thing>
class Lending {
 public:
  void add(std::unique_ptr<Thing> thing) { shelf_->put(std::move(thing)); }

  // Waits until something is there; it is back when the last copy of the pointer is gone. nullptr when `stop` is
  // asked for.
  std::shared_ptr<Thing> take(std::stop_token stop = {}) {
    std::unique_ptr<Thing> thing = shelf_->get(std::move(stop));
    if (thing == nullptr) return nullptr;
    return {thing.release(), [shelf = shelf_](Thing* back) { shelf->put(std::unique_ptr<Thing>(back)); }};
  }

 private:
  struct Shelf {
    Mutex mutex;
    std::condition_variable_any changed;
    std::vector<std::unique_ptr<Thing>> things STRATA_GUARDED_BY(mutex);

    void put(std::unique_ptr<Thing> thing) {
      const MutexLock lock(mutex);
      things.push_back(std::move(thing));
      changed.notify_one();
    }
    std::unique_ptr<Thing> get(std::stop_token stop) {
      const MutexLock lock(mutex);
      if (!changed.wait(mutex, std::move(stop), [this]() STRATA_REQUIRES(mutex) { return !things.empty(); }))
        return nullptr;
      std::unique_ptr<Thing> thing = std::move(things.back());
      things.pop_back();
      return thing;
    }
  };
  const std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
};

}  // namespace strata
