#include "base/write_rate.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/buffer.h"
#include "base/file.h"
#include "base/timer.h"

namespace strata {
namespace {

constexpr std::uint64_t piece = 4u << 20, most = 64u << 20;
constexpr double long_enough = 0.1;
constexpr int syncs = 3;

class Unnamed {
 public:
  explicit Unnamed(const std::string& folder)
      : fd_(::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC | O_DIRECT, 0600)) {
    if (fd_ < 0) fd_ = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  }
  ~Unnamed() {
    if (fd_ >= 0) ::close(fd_);
  }
  Unnamed(const Unnamed&) = delete;
  Unnamed& operator=(const Unnamed&) = delete;

  bool open() const { return fd_ >= 0; }
  bool append(const Buffer& bytes, std::uint64_t count) const {
    return ::write(fd_, bytes.data(), count) == static_cast<ssize_t>(count);
  }
  bool sync() const { return ::fdatasync(fd_) == 0; }

 private:
  int fd_;
};

}  // namespace

WriteRate measure_write_rate(const std::string& folder) {
  const Unnamed file(nearest_existing(folder));
  if (!file.open()) return {};
  Buffer bytes(piece);
  std::memset(bytes.data(), 0x5a, piece);
  std::uint64_t written = 0;
  const Timer writing;
  while (written < most && writing.seconds() < long_enough) {
    if (!file.append(bytes, piece)) return {};
    written += piece;
  }
  if (!file.sync()) return {};
  const double rate = static_cast<double>(written) / writing.seconds();
  const Timer syncing;
  for (int i = 0; i < syncs; ++i)
    if (!file.append(bytes, 4096) || !file.sync()) return {.bytes_per_second = rate};
  return {.bytes_per_second = rate, .seconds_a_sync = syncing.seconds() / syncs};
}

}  // namespace strata
