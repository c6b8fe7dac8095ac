#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/file.h"

namespace strata {
namespace {

std::string system_message() { return std::strerror(errno); }

// nullptr at the end, and when reading on failed with the error number.
const dirent* next_item(DIR* directory, int& failed) {
  errno = 0;
  const dirent* const item = ::readdir(directory);
  failed = errno;
  return item;
}

}  // namespace

std::vector<DirectoryEntry> list_directory(const std::string& path) {
  DIR* directory = nullptr;
  const int opened = guarded(FileOperation::opendir, path, [&] {
    directory = ::opendir(path.c_str());
    return directory == nullptr ? -1 : 0;
  });
  if (opened != 0) fail(Fault::input, "{}: cannot be listed: {}", path, system_message());
  std::vector<DirectoryEntry> entries;
  int failed = 0;
  while (const dirent* item = next_item(directory, failed)) {
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
  if (failed != 0) fail(Fault::io, "{}: cannot be listed to its end: {}", path, std::strerror(failed));
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

void make_directory(const std::string& path) {
  std::error_code error;
  const int made = guarded(FileOperation::mkdir, path, [&] {
    std::filesystem::create_directories(path, error);
    return error ? -1 : 0;
  });
  if (made != 0) fail(Fault::io, "{}: cannot be created: {}", path, error ? error.message() : system_message());
}

void remove_file(const std::string& path) noexcept {
  guarded(FileOperation::unlink, path, [&] { return ::unlink(path.c_str()); });
}

void remove_tree(const std::string& path) {
  std::error_code error;
  const int removed = guarded(FileOperation::unlink, path, [&] {
    std::filesystem::remove_all(path, error);
    return error ? -1 : 0;
  });
  if (removed != 0) fail(Fault::io, "{}: cannot be removed: {}", path, error ? error.message() : system_message());
}

void rename_path(const std::string& from, const std::string& to) {
  if (guarded(FileOperation::rename, from, to, [&] { return ::rename(from.c_str(), to.c_str()); }) != 0)
    fail(Fault::io, "{}: renaming to {} failed: {}", from, to, system_message());
}

FileIdentity identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(Fault::io, "{}: {}", path, std::strerror(errno));
  return {status.st_dev, status.st_ino};
}

std::uint64_t folder_bytes(const std::string& path) {
  std::uint64_t bytes = 0;
  if (!is_directory(path)) return bytes;
  for (const DirectoryEntry& entry : list_directory(path)) {
    if (entry.is_regular) bytes += entry.bytes;
    if (entry.is_directory && !entry.is_link) bytes += folder_bytes(join_path(path, entry.name));
  }
  return bytes;
}

std::string set_aside(const std::string& path) { return path + ".replaced"; }

void exchange_paths(const std::string& a, const std::string& b) {
  const int exchanged = guarded(FileOperation::exchange, a, b,
                                [&] { return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE); });
  if (exchanged == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail(Fault::io, "{}: exchanging with {} failed: {}", a, b, system_message());
  const std::string aside = set_aside(b);  // a file system without exchange: three renames
  rename_path(b, aside);
  rename_path(a, b);
  rename_path(aside, a);
}

void sync_directory(const std::string& path) {
  const int fd =
      guarded(FileOperation::open, path, [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) fail(Fault::io, "{}: cannot be opened: {}", path, system_message());
  const int result = guarded(FileOperation::syncdir, path, [&] { return ::fsync(fd); });
  const std::string message = system_message();
  ::close(fd);
  if (result != 0) fail(Fault::io, "{}: sync failed: {}", path, message);
}

std::string nearest_existing(std::string path) {
  while (!path.empty() && !exists(path)) {
    std::string parent = parent_directory(path);
    if (parent == path) break;
    path = std::move(parent);
  }
  return path.empty() ? "." : path;
}

std::uint64_t free_disk_bytes(const std::string& path) {
  const std::string place = nearest_existing(path);
  struct statvfs status {};
  if (::statvfs(place.c_str(), &status) != 0) fail(Fault::io, "{}: free space unknown: {}", place, system_message());
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

bool same_disk(const std::string& a, const std::string& b) {
  return identity_of(nearest_existing(a)).device == identity_of(nearest_existing(b)).device;
}

void require_writable(const std::string& path) {
  const std::string place = nearest_existing(path);
  if (!is_directory(place)) fail(Fault::io, "{}: {} is not a folder", path, place);
  std::string probe = join_path(place, ".strata-probe-XXXXXX");
  bool named = false;
  const int fd = guarded(FileOperation::open, probe, [&] {
    const int nameless = ::open(place.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);  // nothing stays after a kill
    named = nameless < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
    return named ? ::mkstemp(probe.data()) : nameless;
  });
  if (fd < 0) fail(Fault::io, "{}: no file can be created in {}: {}", path, place, system_message());
  ::close(fd);
  if (named) remove_file(probe);
}

}  // namespace strata
