#include "base/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace strata {

// Refuses anything that is not a regular file: a directory or a pipe named like a shard would otherwise fail much
// later. Opening a pipe without O_NONBLOCK would wait for a writer.
InputFile::InputFile(std::string path) : path_(std::move(path)) {
  fd_ = guarded(FileOperation::open, path_, [&] { return ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (fd_ < 0) {
    const bool machine = errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM;  // not the file's fault
    fail(machine ? Fault::io : Fault::input, "{}: cannot be opened: {}", path_, std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    fail(Fault::input, "{}: is not a regular file", path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  modified_ns_ = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  identity_ = {.device = status.st_dev, .inode = status.st_ino};
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      modified_ns_(other.modified_ns_),
      identity_(other.identity_) {}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = guarded_transfer(FileOperation::pread, path_, out.size(), [&](std::uint64_t bytes) {
      return ::pread(fd_, out.data(), bytes, static_cast<off_t>(offset));
    });
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      fail(Fault::io, "{}: reading {} bytes at {} failed: {}", path_, out.size(), offset, std::strerror(errno));
    if (n == 0) fail_cut(offset);
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

std::uint64_t InputFile::size_now() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail(Fault::io, "{}: its size is unknown: {}", path_, std::strerror(errno));
  return static_cast<std::uint64_t>(status.st_size);
}

void InputFile::fail_cut(std::uint64_t now) const {
  fail(Fault::input, "{}: ends at byte {} but had {} when it was opened; was it changed meanwhile?", path_, now, size_);
}

void InputFile::drop(std::uint64_t offset, std::uint64_t bytes) const {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}

}  // namespace strata
