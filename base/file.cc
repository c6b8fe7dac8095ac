#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace strata {
namespace {

std::string system_message() { return std::strerror(errno); }

// Open read-only, refusing anything that is not a regular file: a directory or a pipe named like a
// shard would otherwise fail much later. Opening a pipe without O_NONBLOCK would wait for a writer.
int open_regular(const std::string& path, std::uint64_t* size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail(Fault::input, "{}: cannot be opened: {}", path, system_message());
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail(Fault::input, "{}: is not a regular file", path);
  }
  *size = static_cast<std::uint64_t>(status.st_size);
  return fd;
}

void write_all(int fd, const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(Fault::io, "{}: writing {} bytes at {} failed: {}", path, bytes.size(), offset, system_message());
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

std::string nearest_existing(std::string path) {
  while (!path.empty() && !exists(path)) {
    std::string parent = parent_directory(path);
    if (parent == path) break;
    path = std::move(parent);
  }
  return path.empty() ? "." : path;
}

}  // namespace

InputFile::InputFile(std::string path) : path_(std::move(path)) { fd_ = open_regular(path_, &size_); }
InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}
InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(Fault::io, "{}: reading {} bytes at {} failed: {}", path_, out.size(), offset, system_message());
    if (n == 0)
      fail(Fault::input, "{}: ends at byte {} but had {} when it was opened; was it changed meanwhile?", path_, offset,
           size_);
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void InputFile::drop(std::uint64_t offset, std::uint64_t bytes) const {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}

OutputFile::OutputFile(std::string path, std::uint64_t size) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(Fault::io, "{}: cannot be created: {}", path_, system_message());
  const int error = size == 0 ? 0 : ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
  if (error == 0) return;
  ::close(fd_);
  fd_ = -1;
  ::unlink(path_.c_str());
  fail(Fault::io, "{}: allocating {} bytes failed: {}", path_, size, std::strerror(error));
}
OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}
OutputFile::OutputFile(OutputFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all(fd_, path_, offset, bytes);
}
void OutputFile::sync() {
  if (::fsync(fd_) != 0) fail(Fault::io, "{}: sync failed: {}", path_, system_message());
}

PendingFile::PendingFile(std::string path, std::uint64_t size) : path_(std::move(path)), file_(path_ + ".partial", size) {}
PendingFile::~PendingFile() {
  if (!published_) ::unlink(file_.path().c_str());
}
void PendingFile::publish() {
  file_.sync();
  rename_path(file_.path(), path_);
  published_ = true;
}

FileLock::FileLock(const std::string& path) {
  fd_ = is_directory(path) ? ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                           : ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(Fault::io, "{}: cannot be opened: {}", path, system_message());
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  ::close(fd_);
  if (error != EWOULDBLOCK) fail(Fault::io, "{}: cannot be locked: {}", path, std::strerror(error));
  fail(Fault::busy, "{}: another run is using it; wait for that run to end", path);
}
FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}
bool FileLock::still_at(const std::string& path) const {
  struct stat held {}, there {};
  return ::fstat(fd_, &held) == 0 && ::stat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev &&
         held.st_ino == there.st_ino;
}
FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

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
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644);
  if (fd < 0) fail(Fault::io, "{}: cannot be opened: {}", path, system_message());
  const ssize_t n = ::write(fd, text.data(), text.size());
  const std::string message = system_message();
  ::close(fd);
  if (n != static_cast<ssize_t>(text.size())) fail(Fault::io, "{}: appending failed: {}", path, message);
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

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_link(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

std::uint64_t file_size(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(Fault::input, "{}: {}", path, system_message());
  return static_cast<std::uint64_t>(status.st_size);
}

std::vector<DirectoryEntry> list_directory(const std::string& path) {
  DIR* const directory = ::opendir(path.c_str());
  if (directory == nullptr) fail(Fault::input, "{}: cannot be listed: {}", path, system_message());
  std::vector<DirectoryEntry> entries;
  while (const dirent* item = ::readdir(directory)) {
    const std::string_view name = item->d_name;
    if (name == "." || name == "..") continue;
    DirectoryEntry entry{.name = std::string(name)};
    const std::string full = join_path(path, name);
    struct stat status {};
    entry.is_link = ::lstat(full.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
    if (::stat(full.c_str(), &status) == 0) {
      entry.is_regular = S_ISREG(status.st_mode);
      entry.is_directory = S_ISDIR(status.st_mode);
      entry.bytes = static_cast<std::uint64_t>(status.st_size);
    }
    entries.push_back(std::move(entry));
  }
  ::closedir(directory);
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

std::string real_path(const std::string& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return {};
  std::string result = resolved;
  std::free(resolved);
  return result;
}

std::string clean_path(const std::string& path) {
  std::string text = path;
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  for (const std::filesystem::path& part : std::filesystem::path(text))
    if (part == "." || part == "..") return resolved_path(text);
  return text;
}

void require_new_file(const std::string& path, bool force, std::span<const std::string> inputs) {
  for (const std::string& input : inputs)
    if (!input.empty() && lies_in(path, input)) fail(Fault::usage, "{}: is or lies in {}, which is read; choose another", path, input);
  if (is_link(path)) fail(Fault::usage, "{}: is a link; name the file itself", path);
  if (!exists(path)) return;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    fail(Fault::usage, "{}: is not a plain file; choose another name", path);
  if (!force) fail(Fault::usage, "{}: exists already; choose another name, or --force to replace it", path);
}

bool is_mount_point(const std::string& path) {
  struct stat here {}, above {};
  return ::stat(path.c_str(), &here) == 0 && ::stat(join_path(path, "..").c_str(), &above) == 0 && here.st_dev != above.st_dev;
}

std::string resolved_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path resolved = std::filesystem::weakly_canonical(path, error);
  if (error) fail(Fault::io, "{}: cannot be resolved: {}", path, error.message());
  if (resolved.is_relative()) resolved = std::filesystem::absolute(resolved).lexically_normal();
  std::string text = resolved.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool lies_in(const std::string& inner, const std::string& outer) {
  return (resolved_path(inner) + "/").starts_with(resolved_path(outer) + "/");
}

void make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(Fault::io, "{}: cannot be created: {}", path, error.message());
}

void remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) fail(Fault::io, "{}: cannot be removed: {}", path, error.message());
}

void rename_path(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail(Fault::io, "{}: renaming to {} failed: {}", from, to, system_message());
}

void exchange_paths(const std::string& a, const std::string& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail(Fault::io, "{}: exchanging with {} failed: {}", a, b, system_message());
  const std::string aside = b + ".replaced";  // a file system without exchange: three renames
  rename_path(b, aside);
  rename_path(a, b);
  rename_path(aside, a);
}

void sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(Fault::io, "{}: cannot be opened: {}", path, system_message());
  const int result = ::fsync(fd);
  const std::string message = system_message();
  ::close(fd);
  if (result != 0) fail(Fault::io, "{}: sync failed: {}", path, message);
}

std::uint64_t free_disk_bytes(const std::string& path) {
  const std::string place = nearest_existing(path);
  struct statvfs status {};
  if (::statvfs(place.c_str(), &status) != 0) fail(Fault::io, "{}: free space unknown: {}", place, system_message());
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

void require_writable(const std::string& path) {
  const std::string place = nearest_existing(path);
  if (!is_directory(place)) fail(Fault::io, "{}: {} is not a folder", path, place);
  std::string probe = join_path(place, ".strata-probe-XXXXXX");
  const int fd = ::mkstemp(probe.data());
  if (fd < 0) fail(Fault::io, "{}: no file can be created in {}: {}", path, place, system_message());
  ::close(fd);
  ::unlink(probe.c_str());
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string parent_directory(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<std::size_t>(slash, 1)));
}

}  // namespace strata
