// Files of named entries: what is written is read back, and nothing else is.
#include "cache/entry_file.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "base/file.h"
#include "tests/support/temporary_folder.h"

using namespace strata;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void write_two(const std::string& path) {
  EntryWriter writer(path, "made of this");
  writer.add("first", bytes_of("some bytes"));
  writer.add("empty", {});
  writer.add("second \"quoted\"", bytes_of(std::string(5000, 'x')));
  writer.finish();
}

std::optional<std::string> read(const EntryReader& reader, const std::string& name, std::size_t size) {
  std::string text(size, '?');
  if (!reader.read(name, std::as_writable_bytes(std::span(text)))) return std::nullopt;
  return text;
}

// With one byte of the file another one.
void damage(const std::string& path, std::size_t place) {
  std::string bytes = read_text(path);
  bytes.at(place) = static_cast<char>(bytes[place] ^ 1);
  write_text(path, bytes);
}

}  // namespace

TEST_CASE("entries are read back by name and size") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("entries");
  write_two(path);
  CHECK(!exists(path + ".partial"));
  std::string why;
  const auto reader = EntryReader::open(path, "made of this", why);
  REQUIRE(reader);
  CHECK(read(*reader, "first", 10) == "some bytes");
  CHECK(read(*reader, "empty", 0) == "");
  CHECK(read(*reader, "second \"quoted\"", 5000) == std::string(5000, 'x'));
  CHECK(reader->size_of("first") == 10);
  CHECK(!reader->size_of("third"));
  CHECK(!read(*reader, "third", 10));
  CHECK(!read(*reader, "first", 9));
  CHECK(file_size(path) <= 5010 + entry_file_overhead(3, 40));
  CHECK(EntryReader::open(path, "", why));
  CHECK(!EntryReader::open(path, "made of that", why));
  CHECK(why.ends_with("was made from something else"));
}

TEST_CASE("a file that is not complete does not count and leaves nothing") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("entries");
  std::string why;
  {
    EntryWriter writer(path, "x");
    writer.add("first", bytes_of("some bytes"));
  }
  CHECK(!exists(path));
  CHECK(!exists(path + ".partial"));
  CHECK(!EntryReader::open(path, "x", why));
  write_two(path);
  const std::string whole = read_text(path);
  for (const std::size_t size : {std::size_t{0}, std::size_t{39}, whole.size() / 2, whole.size() - 1}) {
    write_text(path, whole.substr(0, size));
    CHECK(!EntryReader::open(path, "", why));
  }
}

TEST_CASE("bytes that are not those that were written are not read") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("entries");
  write_two(path);
  const std::size_t size = file_size(path);
  std::string why;
  damage(path, 3);  // of the first entry
  auto reader = EntryReader::open(path, "", why);
  REQUIRE(reader);
  CHECK(!read(*reader, "first", 10));
  CHECK(read(*reader, "second \"quoted\"", 5000));
  for (const std::size_t place : {size - 1, size - 39, size - 60}) {  // hash, magic, index
    write_two(path);
    damage(path, place);
    CHECK(!EntryReader::open(path, "", why));
  }
}
