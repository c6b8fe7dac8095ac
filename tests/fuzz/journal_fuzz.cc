// The input is a journal. What is read must be its longest sound start: written again it gives those bytes. The first
// byte says whether the lines are taken as records, so that mutations get past the checksums.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "cache/journal.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/outcome.h"

using namespace strata;

namespace {

constexpr std::string_view first_line = "strata journal 1\n";

std::string line_of(std::string_view record, std::uint64_t& chain) {
  chain = hash64(std::as_bytes(std::span(record)), chain);
  return fmt::format("{:016x} {}\n", chain, record);
}

// Each line behind the checksum that belongs to it; what follows the last line feed stays as it is.
std::string with_checksums(std::string_view text) {
  std::string journal(first_line);
  std::uint64_t chain = 0;
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    journal += line_of(text.substr(0, end), chain);
    text.remove_prefix(end + 1);
  }
  return journal.append(text);
}

void check(std::string_view text, bool sound) {
  const fuzz::MemoryFile file(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  JournalMiss why;
  const std::optional<JournalContents> contents = read_journal(file.path(), why);
  fuzz::expect(contents.has_value() == why.text.empty(), "a reason without a refusal, or a refusal without a reason");
  if (!contents) return fuzz::expect(!sound, "a journal is refused");
  fuzz::expect(contents->dropped.empty() == (contents->sound_bytes == text.size()), "bytes dropped in silence");
  std::string again(contents->sound_bytes == 0 ? "" : first_line);
  std::uint64_t chain = 0;
  for (const std::string& record : contents->records) again += line_of(record, chain);
  fuzz::expect(again == text.substr(0, contents->sound_bytes), "records that do not stand in the file");
  if (sound && text.ends_with('\n')) fuzz::expect(contents->dropped.empty(), "sound records are dropped");

  if (contents->sound_bytes == 0) return;  // made anew, it syncs its folder, and a memory file has none
  std::optional<Journal> journal = Journal::open(file.path(), why);
  fuzz::expect(journal && journal->records() == contents->records, "opening finds other records than reading");
  journal->append("next");
  const std::optional<JournalContents> after = read_journal(file.path(), why);
  fuzz::expect(after && after->dropped.empty() && after->records.size() == contents->records.size() + 1,
               "a record that was appended is lost");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  fuzz::try_input([&] { data[0] % 2 == 0 ? check(text, false) : check(with_checksums(text), true); });
  return 0;
}
