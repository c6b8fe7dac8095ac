// Files, folders and paths. base/ is the only layer with system calls on them; every error names the path and what the
// system said.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "base/interrupt.h"
#include "base/output_file.h"

namespace strata {

// A lock on a file (made when missing) or on an existing folder that ends with the process. Move-only.
class FileLock {
 public:
  // shared: beside others that are shared, and beside no other.
  enum class Kind { exclusive, shared };
  // Of a file, which is made when it is not there. Error{busy} when another process holds it.
  explicit FileLock(const std::string& path, Kind kind = Kind::exclusive);
  static FileLock of_folder(const std::string& path, Kind kind = Kind::exclusive);  // Error{io} when there is none
  // The same, but waits for it. The file may go and come meanwhile: what is locked is what stands there.
  // Error{interrupted} when `stop` is set.
  static FileLock wait_for(const std::string& path, const StopFlag* stop);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  bool still_at(const std::string& path) const;  // what is locked is what stands at `path` now
  FileLock& operator=(FileLock&&) = delete;
  FileLock(const FileLock&) = delete;

 private:
  FileLock(const std::string& path, Kind kind, int flags);

  int fd_ = -1;
};

// Whether a process holds a FileLock on this file or folder now; false when there is none. Looks by a shared lock
// that is given back at once: FileLock waits a moment for those.
bool is_locked(const std::string& path);

// Whole small files.
std::string read_text(const std::string& path);                   // Error{input} when missing
void write_text(const std::string& path, std::string_view text);  // temporary name, fsync, rename
void append_text(const std::string& path, std::string_view text);

// Copies a regular file byte for byte; `to` appears whole or not at all.
void copy_file(const std::string& from, const std::string& to);

bool exists(const std::string& path);  // follows links
bool is_directory(const std::string& path);
bool is_regular_file(const std::string& path);  // follows links
bool is_link(const std::string& path);          // also one that leads nowhere
std::uint64_t file_size(const std::string& path);

struct DirectoryEntry {
  std::string name;
  bool is_regular = false;  // after following links
  bool is_directory = false;
  bool is_link = false;
  std::uint64_t bytes = 0;
};
std::vector<DirectoryEntry> list_directory(const std::string& path);  // sorted by name, without . and ..
std::uint64_t folder_bytes(const std::string& path);  // of the files in it and below, links apart; 0 when there is none

// The path with every link resolved; empty when it does not exist.
std::string real_path(const std::string& path);

// As the user wrote it, without trailing slashes; with `.` or `..` in it, the absolute path that it means.
std::string clean_path(const std::string& path);
// Error{usage} unless a file may be written at `path`: nothing stands there, or a plain file and `force`. None of
// `inputs` (files or folders that are read) may be it or hold it.
void require_new_file(const std::string& path, bool force, std::span<const std::string> inputs);
bool is_mount_point(const std::string& path);

// Absolute, links resolved as far as the path exists.
std::string resolved_path(const std::string& path);
// Whether `inner` is `outer` or lies in it, links resolved.
bool lies_in(const std::string& inner, const std::string& outer);

FileIdentity identity_of(const std::string& path);  // of a file or folder; Error{io} when there is none

void make_directory(const std::string& path);        // parents too; fine when it exists
void remove_file(const std::string& path) noexcept;  // a name of ours; fine when it does not exist or cannot be removed
void remove_tree(const std::string& path);           // fine when it does not exist
void rename_path(const std::string& from, const std::string& to);
// Both exist. In one step where the system can; else by three renames, between which b stands in set_aside(b).
void exchange_paths(const std::string& a, const std::string& b);
std::string set_aside(const std::string& path);
void sync_directory(const std::string& path);  // makes renames in it durable

// `path`, or the nearest folder above it that exists; "." for none.
std::string nearest_existing(std::string path);

// Bytes an unprivileged writer may still use on the file system of `path` (or of its nearest parent).
std::uint64_t free_disk_bytes(const std::string& path);
bool same_disk(const std::string& a, const std::string& b);  // their nearest existing folders

// Throws Error{io} when no file can be created in `path` (or in its nearest existing parent).
void require_writable(const std::string& path);

std::string join_path(std::string_view directory, std::string_view name);
std::string base_name(std::string_view path);  // "a/b/" -> "b"
std::string parent_directory(std::string_view path);

}  // namespace strata
