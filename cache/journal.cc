#include "cache/journal.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace strata {
namespace {

constexpr std::string_view first_line = "strata journal 1\n";
constexpr std::string_view any_version = "strata journal ";
constexpr std::size_t hash_digits = 16;

// Chained, so that a line that was lost, doubled or moved is found as well as one that was changed.
std::uint64_t chained(std::uint64_t before, std::string_view record) {
  return hash64(std::as_bytes(std::span(record)), before);
}

std::string line_of(std::uint64_t hash, std::string_view record) { return fmt::format("{:016x} {}\n", hash, record); }

// The record of a line without its line feed; nullopt when its checksum is another.
std::optional<std::string_view> record_of(std::string_view line, std::uint64_t& chain) {
  if (line.size() <= hash_digits || line[hash_digits] != ' ') return std::nullopt;
  const std::string_view record = line.substr(hash_digits + 1);
  const std::uint64_t hash = chained(chain, record);
  if (line.substr(0, hash_digits) != fmt::format("{:016x}", hash)) return std::nullopt;
  chain = hash;
  return record;
}

struct Parsed {
  JournalContents contents;
  std::uint64_t chain = 0;
};

// Records up to the first line that is not sound.
void parse_records(std::string_view text, Parsed& parsed) {
  JournalContents& contents = parsed.contents;
  while (contents.sound_bytes < text.size()) {
    const std::string_view rest = text.substr(contents.sound_bytes);
    const std::size_t end = rest.substr(0, hash_digits + 1 + most_record_bytes + 1).find('\n');
    const bool whole = end != std::string_view::npos;
    const auto record = whole ? record_of(rest.substr(0, end), parsed.chain) : std::nullopt;
    if (!record) {
      const bool longer = !whole && rest.size() > hash_digits + 1 + most_record_bytes;
      contents.damaged = whole || longer;
      contents.dropped = fmt::format("{} bytes from byte {}: {}", rest.size(), contents.sound_bytes,
                                     whole    ? "a record without its checksum"
                                     : longer ? "a line that is too long"
                                              : "a record that is cut");
      return;
    }
    contents.records.emplace_back(*record);
    contents.sound_bytes += end + 1;
  }
}

std::optional<Parsed> parse(std::string_view text, JournalMiss& why_not) {
  Parsed parsed;
  if (text.starts_with(first_line)) {
    parsed.contents.sound_bytes = first_line.size();
    parse_records(text, parsed);
    return parsed;
  }
  if (first_line.starts_with(text)) {  // its writer was killed before the first line stood
    if (!text.empty())
      parsed.contents.dropped = fmt::format("{} bytes from byte 0: a first line that is cut", text.size());
    return parsed;
  }
  const std::string_view line = text.substr(0, std::min<std::size_t>(text.find('\n'), 40));
  const bool other = line.starts_with(any_version);
  if (other)
    why_not = {JournalMiss::Kind::version,
               fmt::format("has version {}, this program reads 1", line.substr(any_version.size()))};
  else
    why_not = {JournalMiss::Kind::foreign, "is not a journal"};
  return std::nullopt;
}

std::optional<Parsed> parse_file(const std::string& path, JournalMiss& why_not) {
  std::string text;
  try {
    text = read_text(path);
  } catch (const Error& error) {
    why_not = {JournalMiss::Kind::unreadable, fmt::format("cannot be read: {}", error.what())};
    return std::nullopt;
  }
  return parse(text, why_not);
}

}  // namespace

std::optional<JournalContents> read_journal(const std::string& path, JournalMiss& why_not) {
  if (!exists(path)) {
    why_not = {JournalMiss::Kind::missing, "is missing"};
    return std::nullopt;
  }
  std::optional<Parsed> parsed = parse_file(path, why_not);
  if (!parsed) return std::nullopt;
  return std::move(parsed->contents);
}

Journal::Journal(AppendFile file, JournalContents contents)
    : file_(std::move(file)), records_(std::move(contents.records)), dropped_(std::move(contents.dropped)) {}

std::optional<Journal> Journal::open(const std::string& path, JournalMiss& why_not) {
  Parsed parsed;
  if (exists(path)) {
    std::optional<Parsed> found = parse_file(path, why_not);
    if (!found) return std::nullopt;
    parsed = std::move(*found);
  }
  const std::uint64_t sound = parsed.contents.sound_bytes;
  AppendFile file(path);
  if (file.size() != sound) file.cut(sound);
  if (sound == 0) {
    file.append(first_line);
    file.sync();
    sync_directory(parent_directory(path));
  }
  Journal journal(std::move(file), std::move(parsed.contents));
  journal.chain_ = parsed.chain;
  return journal;
}

void Journal::append(std::string_view record) {
  if (record.size() > most_record_bytes || record.find('\n') != std::string_view::npos)
    fail(Fault::bug, "{}: a record of {} bytes must be one line of at most {}", file_.path(), record.size(),
         most_record_bytes);
  if (failed_) fail(Fault::bug, "{}: a record was lost; nothing can follow it", file_.path());
  const std::uint64_t hash = chained(chain_, record);
  failed_ = true;  // unless the next two lines pass
  file_.append(line_of(hash, record));
  file_.sync();
  failed_ = false;
  chain_ = hash;
  records_.emplace_back(record);
}

}  // namespace strata
