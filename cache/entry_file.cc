#include "cache/entry_file.h"

#include <fmt/core.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace strata {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t alignment = 64;
constexpr std::array<char, 16> magic = {'s', 't', 'r', 'a', 't', 'a', ' ', 'e', 'n', 't', 'r', 'i', 'e', 's', ' ', '1'};

// The last bytes of the file.
struct Footer {
  std::array<char, 16> magic;
  std::uint64_t index_offset, index_bytes, index_hash;
};

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

EntryWriter::EntryWriter(std::string path, std::string fingerprint)
    : path_(std::move(path)),
      fingerprint_(std::move(fingerprint)),
      file_(path_ + ".partial", 0, {.write = WriteMode::direct}) {}

EntryWriter::~EntryWriter() {
  if (!finished_) remove_file(file_.path());
}

void EntryWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  entries_.push_back({name, end_, bytes.size(), hash64(bytes)});
  file_.write_at(end_, bytes);
  end_ = align_up(end_ + bytes.size(), alignment);
}

void EntryWriter::finish() {
  Json entries = Json::array();
  for (const Entry& entry : entries_) entries.push_back({entry.name, entry.offset, entry.bytes, entry.hash});
  const std::string index = Json{{"fingerprint", fingerprint_}, {"entries", std::move(entries)}}.dump();
  file_.write_at(end_, bytes_of(index));
  const Footer footer = {magic, end_, index.size(), hash64(bytes_of(index))};
  file_.write_at(end_ + index.size(), std::as_bytes(std::span(&footer, 1)));
  file_.sync();
  rename_path(file_.path(), path_);
  sync_directory(parent_directory(path_));
  finished_ = true;
}

std::uint64_t entry_file_overhead(std::uint64_t entries, std::uint64_t letters) {
  constexpr std::uint64_t head = 4096, numbers = 3 * 20 + 16;
  return head + sizeof(Footer) + entries * (numbers + alignment) + letters;
}

std::optional<EntryReader> EntryReader::open(const std::string& path, std::string_view fingerprint,
                                             std::string& why_not) {
  const auto refuse = [&](std::string_view reason) {
    why_not = fmt::format("{}: {}", path, reason);
    return std::nullopt;
  };
  if (!is_regular_file(path)) return refuse("is missing");
  EntryReader reader{InputFile(path)};
  Footer footer;
  const std::uint64_t size = reader.file_.size();
  if (size < sizeof footer) return refuse("is cut short");
  reader.file_.read_at(size - sizeof footer, std::as_writable_bytes(std::span(&footer, 1)));
  if (footer.magic != magic || footer.index_bytes > size - sizeof footer ||
      footer.index_offset != size - sizeof footer - footer.index_bytes)
    return refuse("is not a file of entries of this version");
  std::string text(footer.index_bytes, '\0');
  reader.file_.read_at(footer.index_offset, std::as_writable_bytes(std::span(text)));
  reader.index_hash_ = footer.index_hash;
  if (hash64(bytes_of(text)) != footer.index_hash) return refuse("its index is not what was written");
  const Json index = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    if (!fingerprint.empty() && index.at("fingerprint").get<std::string>() != fingerprint)
      return refuse("was made from something else");
    for (const Json& entry : index.at("entries"))
      reader.places_[entry.at(0).get<std::string>()] = {
          entry.at(1).get<std::uint64_t>(), entry.at(2).get<std::uint64_t>(), entry.at(3).get<std::uint64_t>()};
  } catch (const nlohmann::json::exception&) {
    return refuse("its index says nothing");
  }
  return reader;
}

std::string EntryReader::identity() const { return fmt::format("{:016x}", index_hash_); }

std::optional<std::uint64_t> EntryReader::size_of(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? std::nullopt : std::optional(found->second.bytes);
}

bool EntryReader::read(const std::string& name, std::span<std::byte> out) const {
  const auto found = places_.find(name);
  if (found == places_.end() || found->second.bytes != out.size()) return false;
  const Place& place = found->second;
  if (place.offset > file_.size() || place.bytes > file_.size() - place.offset) return false;
  file_.read_at(place.offset, out);
  file_.drop(place.offset, place.bytes);
  return hash64(out) == place.hash;
}

}  // namespace strata
