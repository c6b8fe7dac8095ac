#include "engine/source/read_ahead.h"

#include "base/hash.h"
#include "base/timer.h"

namespace strata {
namespace {

std::uint64_t hash_of(const Part& part, const LayerBytes& bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < part.pieces.size(); ++i) {
    const TensorPiece& piece = part.pieces[i];
    const std::uint64_t place = hash64(std::as_bytes(std::span(piece.tensor->name)), piece.skip);
    sum += hash64(bytes.pieces()[i], place);
  }
  return sum;
}

}  // namespace

ReadAhead::ReadAhead(std::span<const Part> parts, const ReadAheadOptions& options)
    : parts_(parts), reader_(options.reader), trace_(options.trace) {
  for (int i = 0; i < options.slots; ++i)
    slots_.add(std::make_unique<LoadedPart>(LoadedPart{.bytes = LayerBytes(options.memory)}));
  thread_ = std::jthread([this](const std::stop_token& stop) { read_all(stop); });
}

ReadAhead::~ReadAhead() = default;

void ReadAhead::read_all(const std::stop_token& stop) {
  for (const Part& part : parts_) {
    std::shared_ptr<LoadedPart> slot = slots_.take(stop);
    if (slot == nullptr || stop.stop_requested()) return;
    std::exception_ptr error;
    const Timer timer;
    try {
      Trace::Span span(trace_, Track::read, part.visit->name,
                       {.layer = static_cast<int>(part.visit_index), .part = static_cast<int>(part.index)});
      slot->part = &part;
      slot->bytes.load(*part.model, part, reader_);
      span.set_bytes(slot->bytes.loaded_bytes());
      slot->hash = hash_of(part, slot->bytes);
    } catch (...) {  // the thread ends here; next() throws it where somebody can answer
      error = std::current_exception();
    }
    const MutexLock lock(mutex_);
    seconds_ += timer.seconds();
    error_ = error;
    if (!error) ready_.push_back(std::move(slot));
    arrived_.notify_all();
    if (error) return;
  }
}

std::shared_ptr<const LoadedPart> ReadAhead::next() {
  const MutexLock lock(mutex_);
  arrived_.wait(mutex_, [this]() STRATA_REQUIRES(mutex_) { return !ready_.empty() || error_; });
  if (ready_.empty()) std::rethrow_exception(error_);
  std::shared_ptr<const LoadedPart> part = std::move(ready_.front());
  ready_.pop_front();
  return part;
}

double ReadAhead::seconds_reading() const {
  const MutexLock lock(mutex_);
  return seconds_;
}

}  // namespace strata
