// A file of named entries, each with its checksum: what a visit made that a later one would rather read than make
// again. docs/cache-format.md has the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "base/output_file.h"

namespace strata {

// Grows under "<path>.partial" and gets its name when it is complete; removed otherwise. One thread at a time.
class EntryWriter {
 public:
  EntryWriter(std::string path, std::string fingerprint);
  ~EntryWriter();
  EntryWriter(const EntryWriter&) = delete;
  EntryWriter& operator=(const EntryWriter&) = delete;

  void add(const std::string& name, std::span<const std::byte> bytes);  // each name once
  void finish();                                                        // durable under its name when it returns

 private:
  struct Entry {
    std::string name;
    std::uint64_t offset, bytes, hash;
  };
  const std::string path_, fingerprint_;
  OutputFile file_;
  std::vector<Entry> entries_;
  std::uint64_t end_ = 0;
  bool finished_ = false;
};

// Bytes of the file beside its entries, at most, where names have so many letters in all.
std::uint64_t entry_file_overhead(std::uint64_t entries, std::uint64_t letters);

// Thread-safe.
class EntryReader {
 public:
  // nullopt with the reason when it is not there, not complete, or was made from something else; an empty fingerprint
  // takes any.
  static std::optional<EntryReader> open(const std::string& path, std::string_view fingerprint, std::string& why_not);

  std::string identity() const;  // hash of its index, which has those of all entries
  std::optional<std::uint64_t> size_of(const std::string& name) const;  // bytes; nullopt when there is no such entry
  // False when there is no such entry of that size, or its bytes are not those that were written.
  bool read(const std::string& name, std::span<std::byte> out) const;

 private:
  struct Place {
    std::uint64_t offset = 0, bytes = 0, hash = 0;
  };
  explicit EntryReader(InputFile file) : file_(std::move(file)) {}

  InputFile file_;
  std::uint64_t index_hash_ = 0;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace strata
