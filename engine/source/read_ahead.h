// Reads the parts of a sweep before they are needed: one thread fills slots of memory while the others compute.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <span>
#include <thread>

#include "base/lending.h"
#include "base/mutex.h"
#include "base/trace.h"
#include "engine/source/layer_bytes.h"

namespace strata {

// A part in memory. Its slot is free again when the last owner lets go of it.
struct LoadedPart {
  const Part* part = nullptr;
  LayerBytes bytes;
  // Sum over its pieces of a hash of name, place in the tensor and bytes: summed over the parts of a visit it is the
  // same however the visit is cut.
  std::uint64_t hash = 0;
};

struct ReadAheadOptions {
  Budget& memory;
  Reader& reader;
  int slots = 2;  // parts alive: read, computed with, or still written from
  Trace* trace = nullptr;
};

class ReadAhead {
 public:
  // `parts` outlive it.
  ReadAhead(std::span<const Part> parts, const ReadAheadOptions& options);
  ~ReadAhead();  // stops reading; parts that were handed out stay valid

  // The next part, in order; waits until it is there. Rethrows what reading it threw.
  std::shared_ptr<const LoadedPart> next();

  double seconds_reading() const;  // so far

 private:
  void read_all(const std::stop_token& stop);

  const std::span<const Part> parts_;
  Reader& reader_;
  Trace* const trace_;
  Lending<LoadedPart> slots_;
  mutable Mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<std::shared_ptr<const LoadedPart>> ready_ STRATA_GUARDED_BY(mutex_);
  std::exception_ptr error_ STRATA_GUARDED_BY(mutex_);
  double seconds_ STRATA_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace strata
