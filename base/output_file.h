// Files of known size open for writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace strata {

enum class OpenMode : std::uint8_t {
  fresh,  // a new file takes the place of what stands there
  keep,   // the file is there and has its size: the writes go on in it
};

enum class WriteMode : std::uint8_t {
  buffered,  // through the page cache
  direct,    // past it (O_DIRECT) where the file system can; elsewhere what was written leaves it at each sync
};

// The aligned memory that direct writes from unaligned addresses go through. A set of files that shares one holds this
// memory once. Thread-safe: writes from several threads take turns in it.
class WriteStaging;
std::shared_ptr<WriteStaging> make_write_staging();
// What a staging holds from its first use on. It is not used when the source lies at an address that is equal to the
// offset in the file modulo 4096 (modulo the system's page, where that is larger).
inline constexpr std::uint64_t write_staging_bytes = 8u << 20;

struct OutputOptions {
  OpenMode open = OpenMode::fresh;
  WriteMode write = WriteMode::buffered;
  std::shared_ptr<WriteStaging> staging = nullptr;  // nullptr: one of its own when it writes direct
};

// Written at planned offsets, any offset, size and address. It has its planned size, all of it allocated, from the
// start to the end, whatever happens in between. Move-only. write_at is thread-safe for disjoint ranges.
// A full disk is Error{io}, at creation already.
class OutputFile {
 public:
  OutputFile(std::string path, std::uint64_t size, const OutputOptions& options = {});
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;

  const std::string& path() const { return path_; }
  bool direct() const { return direct_fd_ >= 0; }  // false where the file system refused
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void sync();       // all that was written is on the disk when it returns, and the file's size and times
  void sync_data();  // the same but for the times

 private:
  OutputFile(std::string path, OutputOptions options);
  void write_aligned(std::uint64_t offset, std::span<const std::byte> bytes);
  void write_staged(std::uint64_t offset, std::span<const std::byte> bytes);
  void drop_cached() const;

  std::string path_;
  WriteMode mode_ = WriteMode::buffered;
  int fd_ = -1;
  int direct_fd_ = -1;
  std::shared_ptr<WriteStaging> staging_;
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

}  // namespace strata
