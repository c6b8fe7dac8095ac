// Reads many ranges of files at once: the one way tensor bytes of a source come into memory. Three ways to do it
// give the same bytes; which one is fastest depends on the machine and on what the page cache holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"

namespace strata {

enum class IoMethod : std::uint8_t {
  automatic,  // what choose_io() measures as fastest
  mmap,       // copied out of a mapping
  pread,      // a pool of threads with buffered reads; the page cache is left as it was found
  direct,     // O_DIRECT and io_uring: past the page cache
};

std::string_view io_name(IoMethod method);  // "auto", "mmap", "pread", "direct"

// Reads past the page cache come in whole blocks of this size.
inline constexpr std::uint64_t direct_block = 4096;

// Bytes [offset, offset + bytes) of `file`, wanted at `to`. `to` and `offset` are equal modulo direct_block. The blocks
// that they lie in belong to the reader while it reads: what is before `to` and behind its end, up to the ends of
// those blocks, may be overwritten. So two ranges of one call share no block of memory.
struct ReadRange {
  const InputFile* file = nullptr;
  std::uint64_t offset = 0, bytes = 0;
  std::byte* to = nullptr;
};

// Not thread-safe: one call at a time. Files outlive it.
class Reader {
 public:
  virtual ~Reader() = default;
  // Returns when all ranges are in memory. Errors as those of InputFile::read_at, the first that occurs.
  virtual void read(std::span<const ReadRange> ranges) = 0;
  virtual IoMethod method() const = 0;
};

// What a reader holds beyond the destination while it reads, in bytes: mapped windows, stacks of threads, a ring.
inline constexpr std::uint64_t reader_memory = 24u << 20;

// `method` is not automatic. Error{io} when the machine does not have it (io_uring in many containers). Whether a file
// system takes O_DIRECT is known when a file of it is read first: Error{io} of that read.
std::unique_ptr<Reader> make_reader(IoMethod method);

// What a short measurement on the largest of `files` says: reads up to 3 x 64 MiB in pieces spread over the file, each
// piece by one method, none twice, through 16 MiB of memory. Where two are about as fast, direct is taken before pread
// before mmap. A method that does not work here says why. A file of less than choose_io_least is
// not measured.
inline constexpr std::uint64_t choose_io_least = 64u << 20;
struct IoChoice {
  struct Measured {
    IoMethod method = IoMethod::pread;
    double bytes_per_second = 0;  // 0: it does not work, or was not tried
    std::string note;             // why
  };
  IoMethod method = IoMethod::pread;  // never automatic
  std::string reason;                 // one line: "direct 1.9 GB/s, pread 1.1 GB/s, mmap 0.3 GB/s"
  Measured measured[3];
};
IoChoice choose_io(std::span<const InputFile> files);

}  // namespace strata
