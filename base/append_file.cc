#include "base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace strata {

AppendFile::AppendFile(std::string path) : path_(std::move(path)) {
  fd_ = guarded(FileOperation::open, path_,
                [&] { return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644); });
  if (fd_ < 0) fail(Fault::io, "{}: cannot be opened to append: {}", path_, std::strerror(errno));
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    fail(Fault::io, "{}: is not a regular file", path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

void AppendFile::append(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t n = guarded_transfer(FileOperation::pwrite, path_, rest.size(),
                                       [&](std::uint64_t most) { return ::write(fd_, rest.data(), most); });
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n == 0 ? EIO : errno;
      [[maybe_unused]] const int cut_back = ::ftruncate(fd_, static_cast<off_t>(size_));
      fail(Fault::io, "{}: appending {} bytes failed: {}", path_, text.size(), std::strerror(error));
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  size_ += text.size();
}

void AppendFile::cut(std::uint64_t size) {
  if (size > size_) fail(Fault::bug, "{}: {} bytes cannot be cut to {}", path_, size_, size);
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
    fail(Fault::io, "{}: cutting it to {} bytes failed: {}", path_, size, std::strerror(errno));
  size_ = size;
  sync();
}

void AppendFile::sync() {
  if (guarded(FileOperation::fdatasync, path_, [&] { return ::fdatasync(fd_); }) != 0)
    fail(Fault::io, "{}: sync failed: {}", path_, std::strerror(errno));
}

}  // namespace strata
