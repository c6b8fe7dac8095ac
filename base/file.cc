#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace strata {
namespace {

std::string system_message() { return std::strerror(errno); }

// 0, or why not. What is_locked() holds is gone within this tenth of a second.
int lock_soon(int fd, int kind) {
  constexpr int tries = 10;
  constexpr auto pause = std::chrono::milliseconds(10);
  int error = 0;
  for (int i = 0; i < tries; ++i) {
    error = ::flock(fd, kind | LOCK_NB) == 0 ? 0 : errno;
    if (error != EWOULDBLOCK && error != EINTR) break;
    std::this_thread::sleep_for(pause);
  }
  return error;
}

}  // namespace

FileLock::FileLock(const std::string& path, Kind kind) : FileLock(path, kind, O_RDWR | O_CREAT | O_CLOEXEC) {}
FileLock FileLock::of_folder(const std::string& path, Kind kind) {
  return {path, kind, O_RDONLY | O_DIRECTORY | O_CLOEXEC};
}
FileLock::FileLock(const std::string& path, Kind kind, int flags) {
  fd_ = guarded(FileOperation::open, path, [&] { return ::open(path.c_str(), flags, 0644); });
  if (fd_ < 0) fail(Fault::io, "{}: cannot be opened: {}", path, system_message());
  const int error = lock_soon(fd_, kind == Kind::shared ? LOCK_SH : LOCK_EX);
  if (error == 0) return;
  ::close(fd_);
  if (error != EWOULDBLOCK) fail(Fault::io, "{}: cannot be locked: {}", path, std::strerror(error));
  fail(Fault::busy, "{}: another run is using it; wait for that run to end", path);
}
FileLock FileLock::wait_for(const std::string& path, const StopFlag* stop) {
  while (true) {
    check_interrupt(stop);
    try {
      FileLock lock(path);
      if (lock.still_at(path)) return lock;
    } catch (const Error& error) {  // each try takes a tenth of a second
      if (error.fault != Fault::busy) throw;
    }
  }
}
FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}
bool FileLock::still_at(const std::string& path) const {
  struct stat held {
  }, there{};
  return ::fstat(fd_, &held) == 0 && ::stat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev &&
         held.st_ino == there.st_ino;
}
FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

bool is_locked(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return held;
}

std::string read_text(const std::string& path) {
  const InputFile file(path);
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_text(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".tmp";
  {
    OutputFile file(temporary, 0);
    file.write_at(0, std::as_bytes(std::span(text)));
    file.sync();
  }
  rename_path(temporary, path);
}

void append_text(const std::string& path, std::string_view text) {
  const int fd = guarded(FileOperation::open, path, [&] {
    return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644);
  });
  if (fd < 0) fail(Fault::io, "{}: cannot be opened: {}", path, system_message());
  while (!text.empty()) {
    const ssize_t n = guarded_transfer(FileOperation::pwrite, path, text.size(),
                                       [&](std::uint64_t most) { return ::write(fd, text.data(), most); });
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  const std::string message = system_message();
  ::close(fd);
  if (!text.empty()) fail(Fault::io, "{}: appending failed: {}", path, message);
}

void copy_file(const std::string& from, const std::string& to) {
  const InputFile source(from);
  const std::string temporary = to + ".tmp";
  {
    OutputFile target(temporary, source.size());
    std::vector<std::byte> block(std::min<std::uint64_t>(source.size(), 8u << 20));
    for (std::uint64_t offset = 0; offset < source.size(); offset += block.size()) {
      const auto n = std::min<std::uint64_t>(block.size(), source.size() - offset);
      const std::span<std::byte> part(block.data(), n);
      source.read_at(offset, part);
      target.write_at(offset, part);
    }
    target.sync();
  }
  rename_path(temporary, to);
}

}  // namespace strata
