// Reading past the page cache: O_DIRECT and io_uring, straight into the destination.
#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fault_point.h"
#include "base/reader_methods.h"

namespace strata {
namespace {

constexpr unsigned queue_depth = 16;
constexpr std::uint64_t request_bytes = 1u << 20;
constexpr std::size_t most_open = 64;  // descriptors kept between calls

// A second descriptor of an InputFile's file, for O_DIRECT.
class DirectFile {
 public:
  explicit DirectFile(const InputFile& file) {
    // By way of /proc it is the same file even when its name now leads to another one.
    fd_ = open_path(file, "/proc/self/fd/" + std::to_string(file.descriptor()));
    if (fd_ < 0 && errno == ENOENT) fd_ = open_path(file, file.path());  // no /proc
    if (fd_ < 0) fail(Fault::io, "{}: cannot be read past the page cache: {}", file.path(), std::strerror(errno));
    struct stat status {};
    if (::fstat(fd_, &status) == 0 && FileIdentity{status.st_dev, status.st_ino} == file.identity()) return;
    ::close(fd_);
    fail(Fault::input, "{}: was replaced by another file meanwhile", file.path());
  }
  ~DirectFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  DirectFile(DirectFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectFile& operator=(DirectFile&&) = delete;
  DirectFile(const DirectFile&) = delete;
  int descriptor() const { return fd_; }

 private:
  static int open_path(const InputFile& file, const std::string& path) {
    return guarded(FileOperation::open, file.path(),
                   [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC); });
  }
  int fd_ = -1;
};

// Whole blocks of a file on their way into memory.
struct Request {
  const InputFile* file = nullptr;
  int descriptor = -1;
  std::uint64_t begin = 0, end = 0;  // of the blocks
  std::uint64_t wanted_end = 0;      // of the bytes; less than `end` where the file or the range ends within a block
  std::uint64_t next = 0;            // a multiple of direct_block: all before it is there
  std::uint64_t seen = 0;            // bytes that came up to here, perhaps within a block
  std::byte* to = nullptr;           // of `begin`
};

class DirectReader final : public Reader {
 public:
  DirectReader() { make_ring(); }
  ~DirectReader() override { drop_ring(); }
  DirectReader(const DirectReader&) = delete;
  DirectReader& operator=(const DirectReader&) = delete;

  // All that was submitted has come back when it ends, by an error as well: the kernel writes into the destination.
  void read(std::span<const ReadRange> ranges) override {
    if (open_.size() > most_open) open_.clear();
    if (!ring_) make_ring();
    pieces_ = pieces_of(ranges, request_bytes);
    taken_ = 0;
    failure_.reset();
    free_.clear();
    for (std::size_t i = 0; i < queue_depth; ++i) free_.push_back(i);
    for (;;) {
      while (!failure_ && !free_.empty() && taken_ < pieces_.size()) start(pieces_[taken_++]);
      if (free_.size() == queue_depth) break;  // nothing under way: all is done, or an error stopped it
      if (!submit_and_reap()) {
        wait_without_entering();
        break;
      }
    }
    if (failure_) throw Error(*failure_);
  }
  IoMethod method() const override { return IoMethod::direct; }

 private:
  void make_ring() {
    const int error = ::io_uring_queue_init(queue_depth, &ring_.emplace(), 0);
    if (error == 0) return;
    ring_.reset();
    fail(Fault::io, "io_uring: the system does not give it ({}); --io pread works everywhere", std::strerror(-error));
  }

  void drop_ring() {
    if (ring_) ::io_uring_queue_exit(&*ring_);
    ring_.reset();
  }

  // Runs a step whose error must not leave read() before the requests under way are back.
  template <typename Step>
  void guard(Step step) {
    try {
      step();
    } catch (const Error& error) {
      if (!failure_) failure_.emplace(error);
    }
  }

  void start(const ReadRange& piece) {
    guard([&] {
      const std::uint64_t begin = piece.offset / direct_block * direct_block;
      const std::uint64_t end = piece.offset + piece.bytes;
      const int descriptor = descriptor_of(*piece.file);
      const std::size_t slot = free_.back();
      requests_[slot] = {.file = piece.file,
                         .descriptor = descriptor,
                         .begin = begin,
                         .end = align_up(end, direct_block),
                         .wanted_end = end,
                         .next = begin,
                         .seen = begin,
                         .to = piece.to - (piece.offset - begin)};
      free_.pop_back();
      queue(slot);
    });
  }

  int descriptor_of(const InputFile& file) {
    auto place = open_.find(file.identity());
    if (place == open_.end()) place = open_.try_emplace(file.identity(), file).first;
    return place->second.descriptor();
  }

  void queue(std::size_t slot) {
    const Request& request = requests_[slot];
    const Interference planted = fault_point(FileOperation::submit, request.file->path());
    if (planted.error != 0) {
      arrived(slot, -planted.error);
      return;
    }
    kill_after_ = kill_after_ || planted.kill_after;
    const std::uint64_t rest = request.end - request.next;
    const std::uint64_t part = std::min(rest, align_up(planted.part_of(rest), direct_block));  // blocks, as from a disk
    io_uring_sqe* const entry = ::io_uring_get_sqe(&*ring_);  // there is one: no more are under way than the ring holds
    ::io_uring_prep_read(entry, request.descriptor, request.to + (request.next - request.begin),
                         static_cast<unsigned>(part), request.next);
    ::io_uring_sqe_set_data64(entry, slot);
  }

  // Gives what is queued to the kernel and takes every answer that is there, at least one but for EINTR, and EAGAIN and
  // EBUSY, by which the kernel says that it lacks memory or room: the next call asks again. False when the ring does
  // not work.
  bool submit_and_reap() {
    const Interference planted = fault_point(FileOperation::enter, "io_uring");
    const int result = planted.error != 0 ? -planted.error : ::io_uring_submit_and_wait(&*ring_, 1);
    if (kill_after_ || planted.kill_after) fault::kill_process();
    const bool works = result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY;
    if (!works)
      guard([&] {
        fail(Fault::io, "io_uring: the system no longer takes reads ({}); --io pread works everywhere",
             std::strerror(-result));
      });
    reap();
    return works;
  }

  void reap() {
    io_uring_cqe* answer = nullptr;
    while (::io_uring_peek_cqe(&*ring_, &answer) == 0) {
      const auto slot = static_cast<std::size_t>(answer->user_data);
      const int length = answer->res;
      ::io_uring_cqe_seen(&*ring_, answer);
      arrived(slot, length);
    }
  }

  // The kernel has some requests and cannot be asked to wait for them: their answers appear in memory that it shares
  // with us. Those that it has not taken yet never go: the ring goes with them.
  void wait_without_entering() {
    const std::size_t never = ::io_uring_sq_ready(&*ring_);
    while (free_.size() + never < queue_depth) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      reap();
    }
    drop_ring();
  }

  void arrived(std::size_t slot, int result) {
    Request& request = requests_[slot];
    if ((result == -EINTR || result == -EAGAIN) && !failure_) return queue(slot);
    if (result >= 0) {
      const std::uint64_t now = request.next + static_cast<std::uint64_t>(result);
      const bool more = now > request.seen;
      request.seen = now;
      request.next = now / direct_block * direct_block;
      if (now < request.wanted_end && more && !failure_) return queue(slot);  // a short read
    }
    free_.push_back(slot);
    guard([&] {
      if (result < 0)
        fail(Fault::io, "{}: reading {} bytes at {} failed: {}", request.file->path(), request.end - request.next,
             request.next, std::strerror(-result));
      if (request.seen < request.wanted_end) request.file->fail_cut(request.seen);
    });
  }

  std::optional<io_uring> ring_;             // nothing after it failed
  std::map<FileIdentity, DirectFile> open_;  // holding a file open keeps its identity from being given to another
  std::vector<ReadRange> pieces_;
  std::size_t taken_ = 0;
  std::array<Request, queue_depth> requests_;
  std::vector<std::size_t> free_;  // slots of requests_
  std::optional<Error> failure_;
  bool kill_after_ = false;
};

}  // namespace

std::unique_ptr<Reader> make_direct_reader() { return std::make_unique<DirectReader>(); }

}  // namespace strata
