// A file open for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace strata {

// The same file whatever its name, as long as it is open somewhere.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  auto operator<=>(const FileIdentity&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 reads 0 here
};

// Move-only. read_at is thread-safe.
class InputFile {
 public:
  explicit InputFile(std::string path);  // Error{input} when it is missing or not a regular file
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  InputFile(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }               // these three: when it was opened
  std::int64_t modified_ns() const { return modified_ns_; }  // since 1970
  const FileIdentity& identity() const { return identity_; }

  // Fills `out` from byte `offset`. Error{io} on a read error, Error{input} when the file ends early
  // (it was cut while we ran).
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  std::uint64_t size_now() const;                       // Error{io} when the system does not say
  [[noreturn]] void fail_cut(std::uint64_t now) const;  // the Error{input} of a file that ends at `now`

  // Tells the system that this range will not be read again, so that a streamed model does not fill
  // the page cache.
  void drop(std::uint64_t offset, std::uint64_t bytes) const;

  int descriptor() const { return fd_; }  // for readers; stays ours

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t modified_ns_ = 0;
  FileIdentity identity_;
};

}  // namespace strata
