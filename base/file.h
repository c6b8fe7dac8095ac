// The only file with system calls on files. Every error names the path and what the system said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// A file open for reading. Move-only. read_at is thread-safe.
class InputFile {
 public:
  explicit InputFile(std::string path);  // Error{input} when it is missing or not a regular file
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  InputFile(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }  // when it was opened

  // Fills `out` from byte `offset`. Error{io} on a read error, Error{input} when the file ends early
  // (it was cut while we ran).
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  // Tells the system that this range will not be read again, so that a streamed model does not fill
  // the page cache.
  void drop(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

// A file of known size open for writing at planned offsets. Move-only. write_at is thread-safe for
// disjoint ranges. A full disk is Error{io}, at creation already: the space is allocated there.
class OutputFile {
 public:
  OutputFile(std::string path, std::uint64_t size);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;

  const std::string& path() const { return path_; }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void sync();  // data and size are on the disk when it returns

 private:
  std::string path_;
  int fd_ = -1;
};

// A file that is written under "<path>.partial" and gets its name when it is complete; removed otherwise.
class PendingFile {
 public:
  PendingFile(std::string path, std::uint64_t size);  // allocates, as OutputFile
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) { file_.write_at(offset, bytes); }
  void publish();  // data on the disk, then the name

 private:
  std::string path_;
  OutputFile file_;
  bool published_ = false;
};

// A lock on a file (made when missing) or on an existing folder that ends with the process. Move-only.
class FileLock {
 public:
  explicit FileLock(const std::string& path);  // Error{busy} when another process holds it
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  bool still_at(const std::string& path) const;  // what is locked is what stands at `path` now
  FileLock& operator=(FileLock&&) = delete;
  FileLock(const FileLock&) = delete;

 private:
  int fd_ = -1;
};

// Whole small files.
std::string read_text(const std::string& path);                       // Error{input} when missing
void write_text(const std::string& path, std::string_view text);      // temporary name, fsync, rename
void append_text(const std::string& path, std::string_view text);

// Copies a regular file byte for byte; `to` appears whole or not at all.
void copy_file(const std::string& from, const std::string& to);

bool exists(const std::string& path);           // follows links
bool is_directory(const std::string& path);
bool is_link(const std::string& path);          // also one that leads nowhere
std::uint64_t file_size(const std::string& path);

struct DirectoryEntry {
  std::string name;
  bool is_regular = false;   // after following links
  bool is_directory = false;
  bool is_link = false;
  std::uint64_t bytes = 0;
};
std::vector<DirectoryEntry> list_directory(const std::string& path);  // sorted by name, without . and ..

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

void make_directory(const std::string& path);      // parents too; fine when it exists
void remove_tree(const std::string& path);         // fine when it does not exist
void rename_path(const std::string& from, const std::string& to);
void exchange_paths(const std::string& a, const std::string& b);  // both exist; in one step where the system can
void sync_directory(const std::string& path);      // makes renames in it durable

// Bytes an unprivileged writer may still use on the file system of `path` (or of its nearest parent).
std::uint64_t free_disk_bytes(const std::string& path);

// Throws Error{io} when no file can be created in `path` (or in its nearest existing parent).
void require_writable(const std::string& path);

std::string join_path(std::string_view directory, std::string_view name);
std::string base_name(std::string_view path);      // "a/b/" -> "b"
std::string parent_directory(std::string_view path);

}  // namespace strata
