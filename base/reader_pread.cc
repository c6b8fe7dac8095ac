// Reading by a few threads with buffered reads. Works everywhere; the page cache is left as it was found.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <stop_token>
#include <thread>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/reader_methods.h"

namespace strata {
namespace {

constexpr std::size_t thread_count = 4;
constexpr std::uint64_t piece_bytes = 1u << 20;
constexpr std::size_t ahead = 8;  // pieces that the kernel is asked to read before a thread comes for them

// The cachestat call of Linux 6.5, younger than many C libraries. It says how many pages of a range are cached.
struct CacheRange {
  std::uint64_t offset, bytes;
};
struct CacheStatus {
  std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
};
constexpr long cachestat_number = 451;

// Whether most of the piece was in the page cache before we read it. False where the kernel does not say: then a
// streamed model goes out of the cache, whoever brought it there.
bool is_cached(const ReadRange& piece) {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  CacheRange range{.offset = piece.offset, .bytes = piece.bytes};
  CacheStatus status{};
  if (::syscall(cachestat_number, piece.file->descriptor(), &range, &status, 0) != 0) return false;
  return status.cached * page * 2 > piece.bytes;
}

// The kernel's own readahead would go on behind the range, where nobody cleans up.
void read_ahead(const ReadRange& piece) {
  const auto advise = [&](std::uint64_t offset, std::uint64_t bytes, int advice) {
    ::posix_fadvise(piece.file->descriptor(), static_cast<off_t>(offset), static_cast<off_t>(bytes), advice);
  };
  advise(0, 0, POSIX_FADV_RANDOM);
  for (std::uint64_t done = 0; done < piece.bytes; done += readahead_part)
    advise(piece.offset + done, std::min(readahead_part, piece.bytes - done), POSIX_FADV_WILLNEED);
}

// Whole pages, also those that the ends of the piece share with their neighbours.
void drop(const ReadRange& piece) {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = piece.offset / page * page;
  piece.file->drop(begin, align_up(piece.offset + piece.bytes, page) - begin);
}

class PreadReader final : public Reader {
 public:
  PreadReader() {
    for (std::jthread& thread : threads_) thread = std::jthread([this](const std::stop_token& stop) { serve(stop); });
  }

  void read(std::span<const ReadRange> ranges) override {
    const MutexLock lock(mutex_);
    pieces_ = pieces_of(ranges, piece_bytes);
    keep_.assign(pieces_.size(), false);
    prepared_ = claimed_ = 0;
    failure_ = nullptr;
    work_.notify_all();
    done_.wait(mutex_, [this]() STRATA_REQUIRES(mutex_) { return claimed_ == pieces_.size() && busy_ == 0; });
    pieces_.clear();
    claimed_ = 0;
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }
  IoMethod method() const override { return IoMethod::pread; }

 private:
  void serve(const std::stop_token& stop) {
    MutexLock lock(mutex_);
    while (work_.wait(mutex_, stop, [this]() STRATA_REQUIRES(mutex_) { return claimed_ < pieces_.size(); })) {
      for (; prepared_ < pieces_.size() && prepared_ <= claimed_ + ahead; ++prepared_) {
        keep_[prepared_] = is_cached(pieces_[prepared_]);
        if (!keep_[prepared_]) read_ahead(pieces_[prepared_]);
      }
      const ReadRange piece = pieces_[claimed_];
      const bool keep = keep_[claimed_++];
      ++busy_;
      lock.unlock();
      const std::exception_ptr failure = read_piece(piece, keep);
      lock.lock();
      --busy_;
      if (failure != nullptr) {
        if (failure_ == nullptr) failure_ = failure;
        claimed_ = pieces_.size();  // the others stop after the piece in hand
      }
      if (busy_ == 0 && claimed_ == pieces_.size()) done_.notify_one();
    }
  }

  static std::exception_ptr read_piece(const ReadRange& piece, bool keep) {
    try {
      piece.file->read_at(piece.offset, {piece.to, piece.bytes});
      if (!keep) drop(piece);
      return nullptr;
    } catch (...) {  // of a thread: read() throws it again
      return std::current_exception();
    }
  }

  Mutex mutex_;
  std::condition_variable_any work_;
  std::condition_variable_any done_;
  std::vector<ReadRange> pieces_ STRATA_GUARDED_BY(mutex_);
  std::vector<bool> keep_ STRATA_GUARDED_BY(mutex_);    // were in the page cache before
  std::size_t prepared_ STRATA_GUARDED_BY(mutex_) = 0;  // pieces that the kernel was asked for
  std::size_t claimed_ STRATA_GUARDED_BY(mutex_) = 0;   // pieces that a thread took
  std::size_t busy_ STRATA_GUARDED_BY(mutex_) = 0;      // threads that read
  std::exception_ptr failure_ STRATA_GUARDED_BY(mutex_);
  std::array<std::jthread, thread_count> threads_;  // last: they end before what they use
};

}  // namespace

std::unique_ptr<Reader> make_pread_reader() { return std::make_unique<PreadReader>(); }

}  // namespace strata
