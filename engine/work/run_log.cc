#include "engine/work/run_log.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "engine/output/output_folder.h"
#include "engine/work/work_folder.h"
#include "engine/work/work_place.h"

namespace strata {
namespace {

using Json = nlohmann::ordered_json;

std::string journal_path(const std::string& directory) { return join_path(directory, work_names::journal); }
std::string boundary_folder(const std::string& directory) { return join_path(directory, work_names::boundaries); }

// Tells this run from all others, also from one of the same command: nothing that is written depends on it.
std::string fresh_run_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

Json print_json(const Fingerprint& print) { return Json::parse(print.json()); }

std::optional<Fingerprint> read_print(const Json& record, const char* key) {
  return record.contains(key) ? Fingerprint::parse(record[key].dump()) : std::nullopt;
}

std::optional<FileIdentity> read_identity(const Json& record, const char* key) {
  if (!record.contains(key) || !record[key].is_object()) return std::nullopt;
  return FileIdentity{record[key].value("device", std::uint64_t{0}), record[key].value("inode", std::uint64_t{0})};
}

std::string record_text(const VisitRecord& record) {
  Json json = {{"visit", record.visit},
               {"name", record.name},
               {"kind", record.kind},
               {"seconds", record.seconds},
               {"source", fmt::format("{:016x}", record.source_hash)},
               {"output", fmt::format("{:016x}", record.output_hash)},
               {"key", print_json(record.key)},
               {"decisions", Json::array()}};
  // A record is bounded; who needs more than this of them has events.jsonl.
  constexpr std::size_t most = 500, longest = 400;
  for (const auto& [subject, text] : std::span(record.decisions).first(std::min(most, record.decisions.size())))
    json["decisions"].push_back({subject.substr(0, longest), text.substr(0, longest)});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// nullopt when it is not the record of a visit.
std::optional<VisitRecord> parse_record(const Json& json) {
  try {
    std::optional<Fingerprint> key = read_print(json, "key");
    if (!key) return std::nullopt;
    VisitRecord record{.visit = json.at("visit").get<std::size_t>(),
                       .name = json.at("name").get<std::string>(),
                       .kind = json.at("kind").get<std::string>(),
                       .seconds = json.at("seconds").get<double>(),
                       .key = std::move(*key),
                       .source_hash = std::stoull(json.at("source").get<std::string>(), nullptr, 16),
                       .output_hash = std::stoull(json.at("output").get<std::string>(), nullptr, 16)};
    for (const Json& decision : json.at("decisions"))
      record.decisions.emplace_back(decision.at(0).get<std::string>(), decision.at(1).get<std::string>());
    return record;
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const std::logic_error&) {  // a hash that is no number
    return std::nullopt;
  }
}

// Whether two visits read the same tensors of the same files, whatever they make of them.
bool same_source(const Fingerprint& one, const Fingerprint& other) {
  return std::ranges::all_of(std::array{source_keys::files, source_keys::tensors},
                             [&](std::string_view part) { return one.value(part) == other.value(part); });
}

}  // namespace

// What the journal of an earlier run says.
struct RunLog::Earlier {
  Fingerprint run;
  PartialOwner owner;
  std::map<std::size_t, VisitRecord> visits;  // what each one's place in the output was last written for
  std::map<std::size_t, VisitRecord> last;    // what each one was last read as, overwritten since or not

  [[noreturn]] static void refuse(const std::string& path, const JournalMiss& miss) {
    switch (miss.kind) {
      case JournalMiss::Kind::foreign:
        fail(Fault::usage, "{}: {} of ours; choose another work directory (-w)", path, miss.text);
      case JournalMiss::Kind::unreadable:
        fail(Fault::io, "{}: {}; --resume never starts over", path, miss.text);
      case JournalMiss::Kind::missing:  // it was there a moment ago
      case JournalMiss::Kind::version:
        break;
    }
    fail(Fault::mismatch, "{}: {}; --resume never starts over", path, miss.text);
  }

  // nullopt when it says nothing yet. Error{io} when it cannot be read, Error{mismatch} when it is not for us to read.
  static std::optional<Earlier> read(const std::string& directory, std::string& reason) {
    const std::string path = journal_path(directory);
    if (!exists(path)) return std::nullopt;
    JournalMiss miss;
    const std::optional<JournalContents> contents = read_journal(path, miss);
    if (!contents) refuse(path, miss);
    if (!contents->dropped.empty()) reason = "the journal is not whole: " + contents->dropped;
    if (contents->damaged) return std::nullopt;
    std::optional<Earlier> earlier;
    for (const std::string& text : contents->records) {
      const Json json = Json::parse(text, nullptr, false);
      if (!json.is_object()) return std::nullopt;
      if (const std::optional<Fingerprint> run = read_print(json, "run")) {
        if (!earlier) earlier.emplace();
        earlier->run = *run;
        earlier->owner = {.run_id = json.value("id", "")};
        for (const std::size_t visit : json.value("writes", std::vector<std::size_t>{})) earlier->visits.erase(visit);
      }
      if (!earlier) return std::nullopt;
      if (json.contains("publishing")) earlier->owner.published = read_identity(json, "publishing");
      if (std::optional<VisitRecord> visit = parse_record(json)) {
        earlier->visits.insert_or_assign(visit->visit, *visit);
        earlier->last.insert_or_assign(visit->visit, *visit);
      }
    }
    return earlier;
  }
};

RunLog::RunLog(const Prepared& prepared, const RunKeys& keys, const Options& options)
    : directory_(options.places.work_directory),
      keys_(keys),
      shape_(options.keep_states ? prepared.boundary : std::nullopt),
      scarce_disk_(options.scarce_disk),
      store_(boundary_folder(directory_), options.disk) {
  point_.done.assign(keys.visits.size(), 0);
  point_.explanations.assign(keys.visits.size(), "computed: there is no record of it");
  records_.resize(keys.visits.size());
  read_before_.resize(keys.visits.size());
  std::optional<Earlier> earlier;
  if (options.resume != Resume::never) earlier = Earlier::read(directory_, point_.reason);
  decide(options, prepared, earlier);
  run_id_ = point_.go_on ? earlier->owner.run_id : fresh_run_id();
  if (!point_.go_on) remove_journal(directory_);
  std::vector<Fingerprint> keep;
  if (point_.go_on && entering_) keep.push_back(keys_.boundaries[point_.first]);
  store_.sweep_leftovers(keep);
}

void RunLog::decide(const Options& options, const Prepared& prepared, const std::optional<Earlier>& earlier) {
  if (earlier) point_.differences = keys_.run.differences(earlier->run);
  const bool partial = earlier && partial_matches(prepared.output, options.places.output, earlier->owner);
  if (earlier && !partial)
    point_.reason = fmt::format("{} is not there as it was left", partial_folder(options.places.output));
  if (options.resume == Resume::require) {
    if (!earlier)
      fail(Fault::mismatch, "{}: --resume require, but there is nothing to go on from{}", directory_,
           point_.reason.empty() ? "" : ": " + point_.reason);
    if (!point_.differences.empty())
      fail(Fault::mismatch, "{}: --resume require, but {}; --resume auto computes again what depends on it", directory_,
           fmt::format("{}", fmt::join(point_.differences, "; ")));
    if (!partial) fail(Fault::mismatch, "{}: --resume require, but {}", directory_, point_.reason);
  }
  if (!earlier || !partial) return;

  for (const auto& [visit, record] : earlier->visits) {
    if (visit >= keys_.visits.size()) continue;
    const std::vector<std::string> differences = keys_.visits[visit].differences(record.key);
    if (differences.empty())
      records_[visit] = record;
    else
      point_.explanations[visit] = fmt::format("computed: {}", fmt::join(differences, "; "));
  }
  for (const auto& [visit, record] : earlier->last)
    if (visit < keys_.visits.size() && same_source(keys_.visits[visit], record.key))
      read_before_[visit] = record.source_hash;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (!records_[i]) continue;
    const std::uint64_t there = output_hash(prepared.output, options.places.output, prepared.output.visits[i]);
    point_.done[i] = there == records_[i]->output_hash ? 1 : 0;
    point_.explanations[i] = point_.done[i] != 0
                                 ? "taken over"
                                 : fmt::format("computed: its bytes in {} are not those that were written",
                                               partial_folder(options.places.output));
  }
  point_.first = static_cast<std::size_t>(std::ranges::find(point_.done, 0) - point_.done.begin());
  if (shape_ && point_.first < point_.done.size()) find_entering(*shape_, prepared.cut.threads);
  point_.go_on = std::ranges::find(point_.done, 1) != point_.done.end();
  if (!point_.go_on && point_.reason.empty()) point_.reason = "no layer of it still counts";
}

// Hidden states reach a visit through all before it: computing starts where some are kept, or at the embedding.
void RunLog::find_entering(const BoundaryShape& shape, int threads) {
  std::string why;
  const std::size_t wanted = point_.first;
  while (point_.first > 0) {
    entering_ = store_.get(keys_.boundaries[point_.first], shape, threads, why);
    if (entering_) break;
    --point_.first;
    point_.done[point_.first] = 0;
    point_.explanations[point_.first] =
        fmt::format("computed: {} needs what leaves it, and {}", keys_.names[wanted], why);
  }
  for (std::size_t i = point_.first; i < point_.done.size(); ++i) {
    if (point_.done[i] != 0) point_.explanations[i] = "computed: a layer before it is";
    point_.done[i] = 0;
  }
}

std::vector<std::pair<std::string, std::string>> RunLog::earlier_decisions() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (std::size_t i = 0; i < records_.size(); ++i)
    if (point_.go_on && point_.done[i] != 0)
      all.insert(all.end(), records_[i]->decisions.begin(), records_[i]->decisions.end());
  return all;
}

std::map<std::string, double> RunLog::longest_seconds() const {
  std::map<std::string, double> longest;
  for (std::size_t i = 0; i < records_.size(); ++i)
    if (point_.go_on && point_.done[i] != 0) {
      double& seconds = longest[records_[i]->kind];
      seconds = std::max(seconds, records_[i]->seconds);
    }
  return longest;
}

void RunLog::begin() {
  JournalMiss miss;
  std::optional<Journal> journal = Journal::open(journal_path(directory_), miss);
  if (!journal) fail(Fault::io, "{}: {}", journal_path(directory_), miss.text);
  journal_ = std::make_unique<Journal>(std::move(*journal));
  // Records of what is about to be overwritten end here.
  std::vector<std::size_t> writes;
  for (std::size_t i = 0; i < point_.done.size(); ++i)
    if (point_.done[i] == 0) writes.push_back(i);
  const Json record = {{"run", print_json(keys_.run)}, {"id", run_id_}, {"writes", writes}};
  journal_->append(record.dump(-1, ' ', false, Json::error_handler_t::replace));
  sync_directory(directory_);
  sync_directory(parent_directory(directory_));
}

CodecChoice RunLog::choose_codec(std::span<const float> sample, int threads) const {
  // The probe takes 64 MiB for a moment. A disk where that is much, or that fails, is not measured: small files count.
  constexpr std::uint64_t least_free = 1u << 30;
  const std::string folder = boundary_folder(directory_);
  if (!scarce_disk_ && free_disk_bytes(folder) >= least_free) {
    try {
      DiskProbe probe(folder);
      return strata::choose_codec(sample, {.threads = threads, .disk = probe});
    } catch (const Error& error) {
      if (error.fault != Fault::io) throw;
    }
  }
  return strata::choose_codec(sample, {.threads = threads, .scarce_disk = true});
}

std::size_t RunLog::layers_kept() const {
  const std::size_t taken = point_.go_on ? static_cast<std::size_t>(std::ranges::count(point_.done, 1)) : 0;
  const std::size_t visits = taken + committed_;
  return visits == 0 ? 0 : visits - 1;  // the embedding is none
}

std::shared_ptr<PendingBoundary> RunLog::keep_boundary(std::size_t visit, FrameCodec codec) {
  if (!shape_ || visit + 1 >= keys_.visits.size()) return nullptr;
  return store_.put(keys_.boundaries[visit + 1], *shape_, codec);
}

void RunLog::commit(VisitRecord record, ShardSink& sink, PendingBoundary* leaving) {
  if (const auto& before = read_before_[record.visit]; before && *before != record.source_hash)
    fail(Fault::mismatch,
         "{}: its source has other bytes ({:016x}) than when it was read before ({:016x}), though size and time of the "
         "files are the same; --resume never starts over",
         record.name, record.source_hash, *before);
  record.output_hash = sink.take_hash();
  sink.sync_data();
  if (leaving != nullptr) leaving->publish();
  journal_->append(record_text(record));
  ++committed_;
  if (shape_ && record.visit < keys_.boundaries.size()) store_.drop(keys_.boundaries[record.visit]);
}

void RunLog::note_publishing(const FileIdentity& partial, const std::string& output) {
  Json record = {{"publishing", {{"device", partial.device}, {"inode", partial.inode}}}};
  if (exists(output)) {
    const FileIdentity replaced = identity_of(output);
    record["replaces"] = {{"device", replaced.device}, {"inode", replaced.inode}};
  }
  journal_->append(record.dump());
}

void RunLog::finish() {
  entering_.reset();
  store_.sweep_leftovers({});
  remove_boundaries(directory_);
  // Last: as long as it is there, the next run tidies up.
  remove_tree(journal_path(directory_));
}

std::optional<PublishedRun> published_before(const PlacesRequest& places, Resume resume) {
  JournalMiss miss;
  if (resume == Resume::never || !is_directory(places.output)) return std::nullopt;
  const std::optional<JournalContents> contents = read_journal(journal_path(places.work_directory), miss);
  if (!contents) return std::nullopt;
  std::optional<Fingerprint> run;
  std::optional<FileIdentity> published, replaced;
  for (const std::string& text : contents->records) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    if (std::optional<Fingerprint> print = read_print(json, "run")) run = std::move(print);
    if (!json.contains("publishing")) continue;
    published = read_identity(json, "publishing");
    replaced = read_identity(json, "replaces");
  }
  if (!run || published != identity_of(places.output)) return std::nullopt;
  return PublishedRun{.run = std::move(*run), .replaced = replaced};
}

void tidy_up_after(const PublishedRun& run, const PlacesRequest& places) {
  const FileLock lock = lock_work_directory(places.work_directory);
  const std::string partial = partial_folder(places.output);
  if (run.replaced && is_directory(partial) && identity_of(partial) == *run.replaced)
    remove_tree(partial);  // by --force
  remove_boundaries(places.work_directory);
  remove_scratch(places.work_directory);
  remove_journal(places.work_directory);
}

}  // namespace strata
