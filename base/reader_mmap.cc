// Reading by copying out of a mapping. Wins where the page cache holds the file and io_uring is forbidden.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fault_point.h"
#include "base/reader_methods.h"

namespace strata {
namespace {

// Mapped at a time: the pages of one window are resident in this process, no more.
constexpr std::uint64_t window_bytes = 8u << 20;
static_assert(window_bytes <= reader_memory);

// One window of a file, mapped while it exists.
//
// A page behind the end of a file that was cut is SIGBUS. The size is asked before a window is mapped, and where the
// kernel can (Linux 5.14) all of the window is read while it is mapped, which says EFAULT instead. What remains is a
// file that is cut in the millisecond between that and the end of the copy; and before 5.14, a disk that fails then.
// --io pread and direct have no such moment.
class Window {
 public:
  Window(const InputFile& file, std::uint64_t offset, std::uint64_t bytes) : bytes_(bytes) {
    void* const memory = map(file, offset, bytes);
    if (memory == MAP_FAILED) fail_read(file, offset, bytes);
    memory_ = static_cast<std::byte*>(memory);
#ifdef MADV_POPULATE_READ
    if (::madvise(memory_, bytes_, MADV_POPULATE_READ) == 0 || errno == EINVAL) return;
    const int error = errno;
    ::munmap(memory_, bytes_);
    const std::uint64_t now = file.size_now();
    if (now < offset + bytes) file.fail_cut(now);
    errno = error == EFAULT || error == EHWPOISON ? EIO : error;
    fail_read(file, offset, bytes);
#endif
  }
  ~Window() { ::munmap(memory_, bytes_); }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  const std::byte* data() const { return memory_; }

 private:
  static void* map(const InputFile& file, std::uint64_t offset, std::uint64_t bytes) {
    const Interference planted = fault_point(FileOperation::mmap, file.path());
    errno = planted.error;
    if (planted.error != 0) return MAP_FAILED;
    void* const memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.descriptor(), static_cast<off_t>(offset));
    if (planted.kill_after) fault::kill_process();
    return memory;
  }
  [[noreturn]] static void fail_read(const InputFile& file, std::uint64_t offset, std::uint64_t bytes) {
    fail(Fault::io, "{}: mapping {} bytes at {} failed: {}", file.path(), bytes, offset, std::strerror(errno));
  }

  std::byte* memory_ = nullptr;
  std::uint64_t bytes_;
};

class MmapReader final : public Reader {
 public:
  void read(std::span<const ReadRange> ranges) override {
    const std::vector<ReadRange> pieces = pieces_of(ranges, window_bytes);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (i == 0) read_ahead(pieces[0]);
      if (i + 1 < pieces.size()) read_ahead(pieces[i + 1]);
      copy(pieces[i]);
    }
  }
  IoMethod method() const override { return IoMethod::mmap; }

 private:
  static void read_ahead(const ReadRange& piece) {
    for (std::uint64_t done = 0; done < piece.bytes; done += readahead_part)
      ::posix_fadvise(piece.file->descriptor(), static_cast<off_t>(piece.offset + done),
                      static_cast<off_t>(std::min(readahead_part, piece.bytes - done)), POSIX_FADV_WILLNEED);
  }

  static void copy(const ReadRange& piece) {
    static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t begin = piece.offset / page * page;
    const std::uint64_t now = piece.file->size_now();
    if (now < piece.offset + piece.bytes) piece.file->fail_cut(now);
    const Window window(*piece.file, begin, piece.offset + piece.bytes - begin);
    std::memcpy(piece.to, window.data() + (piece.offset - begin), piece.bytes);
  }
};

}  // namespace

std::unique_ptr<Reader> make_mmap_reader() { return std::make_unique<MmapReader>(); }

}  // namespace strata
