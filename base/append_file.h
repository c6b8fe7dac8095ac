// Files that grow at their end, record by record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strata {

// Made when it is missing. Move-only, one thread at a time, one writer.
class AppendFile {
 public:
  explicit AppendFile(std::string path);  // Error{io} when it cannot be written or is not a regular file
  ~AppendFile();
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  AppendFile(const AppendFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  // One write where the system takes it whole. Error{io} on a full disk; the file then has its old size if the system
  // lets it, otherwise a part of `text` stands behind it.
  void append(std::string_view text);
  void cut(std::uint64_t size);  // to a smaller size, durable when it returns
  void sync();                   // all that was appended is on the disk when it returns

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace strata
