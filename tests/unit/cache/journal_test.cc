#include "cache/journal.h"

#include <xxhash.h>

#include <catch2/catch_test_macros.hpp>

#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/unit/cache/boundary_fixture.h"

using namespace strata;
using namespace strata::test;

namespace {

const std::vector<std::string> records{R"({"layer": 0})", "", R"({"layer": 1, "hash": "1a2b"})",
                                       std::string(5000, 'x')};

void write_journal(const std::string& path) {
  JournalMiss why;
  std::optional<Journal> journal = Journal::open(path, why);
  REQUIRE(journal);
  for (const std::string& record : records) journal->append(record);
}

// The records that must survive when the first `bytes` of `whole` do: those whose lines are in them.
std::size_t lines_within(const std::string& whole, std::size_t bytes) {
  const auto lines =
      static_cast<std::size_t>(std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes), '\n'));
  return lines == 0 ? 0 : lines - 1;
}

}  // namespace

TEST_CASE("a journal gives its records back and goes on") {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal");
  write_journal(path);
  JournalMiss why;
  {
    std::optional<Journal> journal = Journal::open(path, why);
    REQUIRE(journal);
    CHECK(journal->records() == records);
    CHECK(journal->dropped() == "");
    journal->append("more");
    CHECK(journal->records().size() == records.size() + 1);
  }
  const std::optional<JournalContents> contents = read_journal(path, why);
  REQUIRE(contents);
  CHECK(contents->records.size() == records.size() + 1);
  CHECK(contents->records.back() == "more");
  CHECK(contents->sound_bytes == file_size(path));
}

TEST_CASE("a journal is the text that the document says") {
  const TemporaryFolder folder;
  write_journal(folder.file("journal"));
  std::string expected = "strata journal 1\n";
  XXH64_hash_t chain = 0;
  for (const std::string& record : records) {
    chain = XXH3_64bits_withSeed(record.data(), record.size(), chain);
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(chain));
    expected += std::string(digits) + " " + record + "\n";
  }
  CHECK(read_text(folder.file("journal")) == expected);
}

TEST_CASE("a journal torn at any byte keeps its whole records and takes new ones") {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal");
  write_journal(path);
  const std::string whole = read_text(path);
  for (std::size_t n = 0; n <= whole.size(); n += n > 200 && n + 100 < whole.size() ? 61 : 1) {
    INFO("cut to " << n << " bytes");
    write_bytes(path, whole.substr(0, n));
    const std::size_t kept = lines_within(whole, n);
    const bool torn = n > 0 && whole[n - 1] != '\n';
    JournalMiss why;
    const std::optional<JournalContents> contents = read_journal(path, why);
    REQUIRE(contents);
    REQUIRE(contents->records.size() == kept);
    REQUIRE((contents->dropped != "") == torn);
    REQUIRE(file_size(path) == n);  // reading changes nothing
    {
      std::optional<Journal> journal = Journal::open(path, why);
      REQUIRE(journal);
      REQUIRE((journal->dropped() != "") == torn);
      journal->append("new");
    }
    const std::optional<JournalContents> after = read_journal(path, why);
    REQUIRE(after);
    REQUIRE(after->dropped == "");
    REQUIRE(after->records.size() == kept + 1);
    REQUIRE(after->records.back() == "new");
  }
}

TEST_CASE("a journal with any bit flipped loses that record and those behind it, nothing else") {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal");
  write_journal(path);
  const std::string whole = read_text(path);
  const std::size_t start = std::string_view("strata journal 1\n").size();
  for (std::size_t i = start; i<whole.size(); i += i> 200 ? 173 : 1)
    for (int bit = 0; bit < 8; ++bit) {
      put_byte(path, i, static_cast<char>(whole[i] ^ (1 << bit)));
      JournalMiss why;
      const std::optional<JournalContents> contents = read_journal(path, why);
      INFO("byte " << i << ", bit " << bit);
      REQUIRE(contents);
      REQUIRE(contents->records.size() == lines_within(whole, i));
      REQUIRE(contents->dropped != "");
      put_byte(path, i, whole[i]);
    }
  for (std::size_t i = 0; i < start; ++i) {  // the first line: no journal, or another version
    std::string changed = whole;
    JournalMiss why;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    write_bytes(path, changed);
    CHECK_FALSE(Journal::open(path, why));
    CHECK(why.text != "");
    CHECK((bytes_of_file(path) == changed));
  }
}

TEST_CASE("a line that was lost, doubled or moved ends the journal") {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal");
  {
    JournalMiss why;
    std::optional<Journal> journal = Journal::open(path, why);
    for (const char* record : {"a", "a", "b", "c"}) journal->append(record);
  }
  const std::string whole = read_text(path), head = whole.substr(0, 17);
  const auto line = [&](std::size_t i) { return whole.substr(17 + 19 * i, 19); };
  const auto kept = [&](const std::string& text) {
    write_bytes(path, text);
    JournalMiss why;
    return read_journal(path, why)->records.size();
  };
  CHECK(kept(whole) == 4);
  CHECK(kept(head + line(0) + line(2) + line(3)) == 1);
  CHECK(kept(head + line(0) + line(0) + line(2)) == 1);
  CHECK(kept(head + line(0) + line(1) + line(3) + line(2)) == 2);
}

TEST_CASE("a file that is no journal, of a newer version or missing is told and left alone") {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal");
  JournalMiss why;
  CHECK_FALSE(read_journal(path, why));
  CHECK(why.text == "is missing");
  CHECK(why.kind == JournalMiss::Kind::missing);
  write_text(path, "strata journal 2\n0123456789abcdef {}\n");
  CHECK_FALSE(Journal::open(path, why));
  CHECK(why.text == "has version 2, this program reads 1");
  CHECK(why.kind == JournalMiss::Kind::version);
  write_text(path, "{\"layer\": 0}\n");
  CHECK_FALSE(read_journal(path, why));
  CHECK(why.text == "is not a journal");
  CHECK(why.kind == JournalMiss::Kind::foreign);
  CHECK_FALSE(Journal::open(path, why));
  CHECK(read_text(path) == "{\"layer\": 0}\n");
  remove_tree(path);
  make_directory(path);
  CHECK_FALSE(Journal::open(path, why));
  CHECK(why.text.find("not a regular file") != std::string::npos);
  CHECK(why.kind == JournalMiss::Kind::unreadable);
}

TEST_CASE("a record is one line of at most 1 MiB, a longer line ends the journal") {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal");
  JournalMiss why;
  {
    std::optional<Journal> journal = Journal::open(path, why);
    CHECK(thrown_by([&] { journal->append("a\nb"); }).fault == Fault::bug);
    CHECK(thrown_by([&] { journal->append(std::string(most_record_bytes + 1, 'x')); }).fault == Fault::bug);
    journal->append(std::string(most_record_bytes, 'x'));
    journal->append("next");
  }
  CHECK(read_journal(path, why)->records.size() == 2);
  const std::string longer(most_record_bytes + 1, 'x');
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(longer.data(), longer.size())));
  write_bytes(path, "strata journal 1\n" + std::string(digits) + " " + longer + "\n");
  const std::optional<JournalContents> contents = read_journal(path, why);
  CHECK(contents->records.empty());
  CHECK(contents->dropped.find("too long") != std::string::npos);
}
