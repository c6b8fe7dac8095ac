#include "base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/fault_point.h"
#include "base/file.h"
#include "base/mutex.h"

namespace strata {

class WriteStaging {
 public:
  // Copies `bytes` piece by piece to aligned memory and gives each piece to `write`.
  template <typename Write>
  void each_piece(std::span<const std::byte> bytes, Write write) {
    const MutexLock lock(mutex_);
    memory_.grow(write_staging_bytes);
    for (std::size_t done = 0; done < bytes.size();) {
      const std::span part = bytes.subspan(done, std::min<std::size_t>(write_staging_bytes, bytes.size() - done));
      std::memcpy(memory_.data(), part.data(), part.size());
      write(done, std::span<const std::byte>(memory_.data(), part.size()));
      done += part.size();
    }
  }

 private:
  Mutex mutex_;
  Buffer memory_ STRATA_GUARDED_BY(mutex_);
};

std::shared_ptr<WriteStaging> make_write_staging() { return std::make_shared<WriteStaging>(); }

namespace {

// The ragged ends of a direct write go through the page cache, so no page may be written both ways: the kernel would
// write a stale copy of it back over the direct half.
std::uint64_t write_block() {
  static const std::uint64_t block = std::max<std::uint64_t>(4096, static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  return block;
}

// A direct write waits for the disk, some 0.1 ms each. Less than this is left to the page cache, which collects.
constexpr std::uint64_t least_direct = 64u << 10;

ssize_t write_some(int fd, const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes) {
  for (;;) {
    const ssize_t n = guarded_transfer(FileOperation::pwrite, path, bytes.size(), [&](std::uint64_t most) {
      return ::pwrite(fd, bytes.data(), most, static_cast<off_t>(offset));
    });
    if (n >= 0 || errno != EINTR) return n;
  }
}

[[noreturn]] void fail_write(const std::string& path, std::uint64_t offset, std::uint64_t bytes) {
  fail(Fault::io, "{}: writing {} bytes at {} failed: {}", path, bytes, offset, std::strerror(errno));
}

void write_all(int fd, const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write_some(fd, path, offset, bytes);
    if (n <= 0) fail_write(path, offset, bytes.size());
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

int open_fresh(const std::string& path) {
  const int fd = guarded(FileOperation::open, path,
                         [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644); });
  if (fd < 0) fail(Fault::io, "{}: cannot be created: {}", path, std::strerror(errno));
  return fd;
}

int open_kept(const std::string& path, std::uint64_t size) {
  const int fd =
      guarded(FileOperation::open, path, [&] { return ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK); });
  if (fd < 0) fail(Fault::io, "{}: cannot be opened to go on writing: {}", path, std::strerror(errno));
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const auto found = static_cast<std::uint64_t>(status.st_size);
  if (regular && found == size) return fd;
  ::close(fd);
  if (!regular) fail(Fault::io, "{}: is not a regular file", path);
  fail(Fault::io, "{}: has {} bytes and not {}: it is not the file that was being written", path, found, size);
}

// A second descriptor of the same file; -1 where the file system refuses.
int open_direct(const std::string& path) {
  const int fd =
      guarded(FileOperation::open, path, [&] { return ::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC); });
  if (fd < 0 && errno != EINVAL && errno != EOPNOTSUPP)
    fail(Fault::io, "{}: cannot be opened past the page cache: {}", path, std::strerror(errno));
  return fd;
}

int allocate(int fd, const std::string& path, std::uint64_t size) {
  if (size == 0) return 0;
  const int result = guarded(FileOperation::fallocate, path, [&] {
    errno = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
    return errno == 0 ? 0 : -1;
  });
  return result == 0 ? 0 : errno;
}

}  // namespace

OutputFile::OutputFile(std::string path, OutputOptions options)
    : path_(std::move(path)), mode_(options.write), staging_(std::move(options.staging)) {}

// Delegates, so that the destructor closes what is open when a step fails.
OutputFile::OutputFile(std::string path, std::uint64_t size, const OutputOptions& options)
    : OutputFile(std::move(path), options) {
  fd_ = options.open == OpenMode::fresh ? open_fresh(path_) : open_kept(path_, size);
  const int error = allocate(fd_, path_, size);
  if (error != 0) {
    if (options.open == OpenMode::fresh) remove_file(path_);
    fail(Fault::io, "{}: allocating {} bytes failed: {}", path_, size, std::strerror(error));
  }
  if (mode_ == WriteMode::direct) direct_fd_ = open_direct(path_);
  if (direct() && staging_ == nullptr) staging_ = make_write_staging();
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (direct_fd_ >= 0) ::close(direct_fd_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      mode_(other.mode_),
      fd_(std::exchange(other.fd_, -1)),
      direct_fd_(std::exchange(other.direct_fd_, -1)),
      staging_(std::move(other.staging_)) {}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t block = write_block();
  const std::uint64_t begin = align_up(offset, block), end = (offset + bytes.size()) / block * block;
  if (!direct() || end < begin + least_direct) {
    write_all(fd_, path_, offset, bytes);
    return;
  }
  write_all(fd_, path_, offset, bytes.first(begin - offset));
  const std::span<const std::byte> middle = bytes.subspan(begin - offset, end - begin);
  const bool aligned = reinterpret_cast<std::uintptr_t>(middle.data()) % block == 0;
  aligned ? write_aligned(begin, middle) : write_staged(begin, middle);
  write_all(fd_, path_, end, bytes.subspan(end - offset));
}

void OutputFile::write_staged(std::uint64_t offset, std::span<const std::byte> bytes) {
  staging_->each_piece(bytes,
                       [&](std::size_t done, std::span<const std::byte> part) { write_aligned(offset + done, part); });
}

void OutputFile::write_aligned(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t block = write_block();
  while (!bytes.empty()) {
    const ssize_t n = write_some(direct_fd_, path_, offset, bytes);
    if (n < 0 && errno != EINVAL) fail_write(path_, offset, bytes.size());
    const auto whole = n < 0 ? 0 : static_cast<std::uint64_t>(n) / block * block;
    // Less than a block, or a file system that wants more than alignment to a block: the page cache wants nothing.
    if (whole == 0) return write_all(fd_, path_, offset, bytes);
    bytes = bytes.subspan(whole);
    offset += whole;
  }
}

void OutputFile::sync() {
  if (guarded(FileOperation::fsync, path_, [&] { return ::fsync(fd_); }) != 0)
    fail(Fault::io, "{}: sync failed: {}", path_, std::strerror(errno));
  drop_cached();
}

void OutputFile::sync_data() {
  if (guarded(FileOperation::fdatasync, path_, [&] { return ::fdatasync(fd_); }) != 0)
    fail(Fault::io, "{}: sync failed: {}", path_, std::strerror(errno));
  drop_cached();
}

void OutputFile::drop_cached() const {
  if (mode_ == WriteMode::direct) ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
}

PendingFile::PendingFile(std::string path, std::uint64_t size)
    : path_(std::move(path)), file_(path_ + ".partial", size) {}
PendingFile::~PendingFile() {
  if (!published_) remove_file(file_.path());
}
void PendingFile::publish() {
  file_.sync();
  rename_path(file_.path(), path_);
  published_ = true;
}

}  // namespace strata
