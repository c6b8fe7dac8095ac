#include "engine/work/earlier_run.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cache/journal.h"
#include "engine/work/work_folder.h"

namespace strata {

using Json = nlohmann::ordered_json;

std::string journal_path(const std::string& directory) { return join_path(directory, work_names::journal); }

constexpr std::string_view shared_start = "shared ";

std::string shared_run_id(const Fingerprint& run) { return std::string(shared_start) + run.hash(); }
bool is_shared_run_id(std::string_view id) { return id.starts_with(shared_start); }

std::optional<FileIdentity> read_identity(const Json& record, const char* key) {
  if (!record.contains(key) || !record[key].is_object()) return std::nullopt;
  return FileIdentity{record[key].value("device", std::uint64_t{0}), record[key].value("inode", std::uint64_t{0})};
}

namespace {

[[noreturn]] void refuse(const std::string& path, const JournalMiss& miss, std::string_view start_over) {
  switch (miss.kind) {
    case JournalMiss::Kind::foreign:
      fail(Fault::usage, "{}: {} of ours; choose another work directory (-w)", path, miss.text);
    case JournalMiss::Kind::unreadable:
      fail(Fault::io, "{}: {}; {}", path, miss.text, start_over);
    case JournalMiss::Kind::missing:  // it was there a moment ago
    case JournalMiss::Kind::version:
      break;
  }
  fail(Fault::mismatch, "{}: {}; {}", path, miss.text, start_over);
}

}  // namespace

std::optional<EarlierRun> EarlierRun::read(const std::string& directory, std::string_view start_over,
                                           std::string& reason) {
  const std::string path = journal_path(directory);
  if (!exists(path)) return std::nullopt;
  JournalMiss miss;
  const std::optional<JournalContents> contents = read_journal(path, miss);
  if (!contents) refuse(path, miss, start_over);
  if (!contents->dropped.empty()) reason = "the journal is not whole: " + contents->dropped;
  if (contents->damaged) return std::nullopt;
  std::optional<EarlierRun> earlier;
  for (const std::string& text : contents->records) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    if (const std::optional<Fingerprint> run = read_print(json, "run")) {
      if (!earlier) earlier.emplace();
      earlier->run = *run;
      earlier->owner = {.run_id = json.value("id", "")};
      const std::size_t sweep = json.value("sweep", std::size_t{0});
      for (const std::size_t visit : json.value("writes", std::vector<std::size_t>{}))
        earlier->steps.erase({sweep, visit});
    }
    if (!earlier) return std::nullopt;
    if (json.contains("publishing")) earlier->owner.published = read_identity(json, "publishing");
    if (std::optional<VisitRecord> visit = parse_record(json)) {
      earlier->steps.insert_or_assign({visit->sweep, visit->visit}, *visit);
      earlier->last.insert_or_assign({visit->sweep, visit->visit}, *visit);
    }
  }
  return earlier;
}

}  // namespace strata
