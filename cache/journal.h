// What a run has done, one record after the other, so that a killed one goes on. Text: a first line that names the
// format, then a record a line behind the checksum of it and of all before it. docs/cache-format.md has the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/append_file.h"

namespace strata {

inline constexpr std::uint64_t most_record_bytes = 1u << 20;

struct JournalContents {
  std::vector<std::string> records;  // the sound ones, up to the first that is not
  std::uint64_t sound_bytes = 0;     // of the file
  bool damaged = false;  // what does not count is more than a record that was being written when its writer was killed
  std::string dropped;   // why the rest does not count ("131 bytes from byte 87: cut record"); empty: no rest
};

// Why there is no journal to read.
struct JournalMiss {
  enum class Kind : std::uint8_t { missing, unreadable, foreign, version };  // foreign: a file that is no journal
  Kind kind = Kind::missing;
  std::string text;  // "is missing", "has version 9, this program reads 1"
};

// Reads without changing the file: another process may be writing it. nullopt with the reason when it is missing, no
// journal or of a version that we do not read.
std::optional<JournalContents> read_journal(const std::string& path, JournalMiss& why_not);

// Appends. Not thread-safe; one process at a time (the caller holds the lock of the work folder).
class Journal {
 public:
  // Makes the file when it is missing, and cuts off what dropped() tells. nullopt with the reason, and the file as it
  // was, when it is no journal or of a version that we do not read.
  static std::optional<Journal> open(const std::string& path, JournalMiss& why_not);

  const std::vector<std::string>& records() const { return records_; }  // found at opening, then those appended
  const std::string& dropped() const { return dropped_; }

  // One write, then on the disk. The record is one line without line feeds, at most most_record_bytes. Error{io} when
  // the disk is full: the journal is as it was before, or ends in a torn record that the next opening cuts off; it
  // takes no more records.
  void append(std::string_view record);

 private:
  Journal(AppendFile file, JournalContents contents);
  AppendFile file_;
  std::vector<std::string> records_;
  std::string dropped_;
  std::uint64_t chain_ = 0;  // checksum of the last record
  bool failed_ = false;
};

}  // namespace strata
