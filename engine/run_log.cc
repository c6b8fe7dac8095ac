#include "engine/run_log.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "engine/output_folder.h"

namespace strata {
namespace {

using Json = nlohmann::ordered_json;

std::string journal_path(const std::string& directory) { return join_path(directory, "journal"); }
std::string boundary_folder(const std::string& directory) { return join_path(directory, "act"); }

Json print_json(const Fingerprint& print) { return Json::parse(print.json()); }

std::optional<Fingerprint> read_print(const Json& record, const char* key) {
  return record.contains(key) ? Fingerprint::parse(record[key].dump()) : std::nullopt;
}

std::string record_text(const VisitRecord& record) {
  Json json = {{"visit", record.visit},
               {"name", record.name},
               {"source", fmt::format("{:016x}", record.source_hash)},
               {"key", print_json(record.key)},
               {"decisions", Json::array()}};
  for (const auto& [subject, text] : record.decisions) json["decisions"].push_back({subject, text});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// nullopt when it is not the record of a visit.
std::optional<VisitRecord> parse_record(const Json& json) {
  try {
    std::optional<Fingerprint> key = read_print(json, "key");
    if (!key) return std::nullopt;
    VisitRecord record{.visit = json.at("visit").get<std::size_t>(),
                       .name = json.at("name").get<std::string>(),
                       .key = std::move(*key),
                       .source_hash = std::stoull(json.at("source").get<std::string>(), nullptr, 16)};
    for (const Json& decision : json.at("decisions"))
      record.decisions.emplace_back(decision.at(0).get<std::string>(), decision.at(1).get<std::string>());
    return record;
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const std::logic_error&) {  // a hash that is no number
    return std::nullopt;
  }
}

// What was asked for, as far as it decides about the output: two runs with equal texts write the same.
std::string asked(const QuantizeOptions& options) {
  Fingerprint print;
  print.add("model", options.model);
  print.add("scheme", options.scheme);
  print.add("method", options.method);
  for (const std::string& pattern : options.ignore) print.add("ignore", pattern);
  for (const auto& [pattern, format] : options.overrides) print.add("override " + pattern, format);
  print.add("dataset", options.dataset);
  print.add("windows",
            fmt::format("{} x {} of part {}", options.nsamples, options.seqlen, static_cast<int>(options.part)));
  print.add("special tokens", options.add_special_tokens ? "yes" : "no");
  print.add("shards", std::to_string(options.shard_size));
  print.add("parity", options.parity ? "yes" : "no");
  print.add("assignment", options.assignment);
  print.add("cache", options.kv_cache_fp8 ? "fp8" : "none");
  print.add("boundary", std::to_string(static_cast<int>(options.boundary)));
  return print.hash();
}

}  // namespace

// What the journal of an earlier run says.
struct RunLog::Earlier {
  Fingerprint run;
  std::map<std::size_t, VisitRecord> visits;  // what each one's place in the output was last written for

  static std::optional<Earlier> read(const std::string& directory, std::string& why_not) {
    const std::optional<JournalContents> contents = read_journal(journal_path(directory), why_not);
    if (!contents) return std::nullopt;
    Earlier earlier;
    for (const std::string& text : contents->records) {
      const Json json = Json::parse(text, nullptr, false);
      if (json.is_discarded()) break;
      if (const std::optional<Fingerprint> run = read_print(json, "run")) {
        earlier.run = *run;
        for (const std::size_t visit : json.value("writes", std::vector<std::size_t>{})) earlier.visits.erase(visit);
      }
      if (std::optional<VisitRecord> visit = parse_record(json)) earlier.visits.insert_or_assign(visit->visit, *visit);
    }
    if (!contents->dropped.empty()) why_not = "the journal ends early: " + contents->dropped;
    return earlier;
  }
};

RunLog::RunLog(const QuantizeOptions& options, const Prepared& prepared, const RunKeys& keys,
               const std::optional<BoundaryShape>& shape, Budget& disk)
    : directory_(options.work_directory),
      keys_(keys),
      shape_(shape),
      scarce_disk_(options.disk > 0),
      store_(boundary_folder(directory_), disk) {
  point_.done.assign(keys.visits.size(), 0);
  point_.explanations.assign(keys.visits.size(), "computed: there is no record of it");
  records_.resize(keys.visits.size());
  std::optional<Earlier> earlier;
  if (options.resume != Resume::never && exists(journal_path(directory_)))
    earlier = Earlier::read(directory_, point_.reason);
  decide(options, prepared, earlier);
  if (!point_.go_on) clear();
  std::vector<Fingerprint> keep;
  if (point_.go_on && point_.entering) keep.push_back(keys_.boundaries[point_.first]);
  store_.sweep_leftovers(keep);
}

void RunLog::decide(const QuantizeOptions& options, const Prepared& prepared, const std::optional<Earlier>& earlier) {
  if (earlier) point_.differences = keys_.run.differences(earlier->run);
  const bool partial = partial_matches(prepared.output, options.output);
  if (earlier && !partial)
    point_.reason = fmt::format("{} is not there as it was left", partial_folder(options.output));
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
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (!records_[i]) continue;
    point_.done[i] = 1;
    point_.explanations[i] = "taken over";
  }
  point_.first = static_cast<std::size_t>(std::ranges::find(point_.done, 0) - point_.done.begin());
  if (shape_ && point_.first < point_.done.size()) find_entering(*shape_);
  point_.go_on = std::ranges::find(point_.done, 1) != point_.done.end();
  if (!point_.go_on && point_.reason.empty()) point_.reason = "no layer of it still counts";
}

// Hidden states reach a visit through all before it: computing starts where some are kept, or at the embedding.
void RunLog::find_entering(const BoundaryShape& shape) {
  std::string why;
  const std::size_t wanted = point_.first;
  while (point_.first > 0) {
    point_.entering = store_.get(keys_.boundaries[point_.first], shape, why);
    if (point_.entering) break;
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

void RunLog::clear() {
  remove_tree(journal_path(directory_));
  if (is_directory(directory_)) sync_directory(directory_);  // somebody may have removed it
}

std::vector<std::pair<std::string, std::string>> RunLog::earlier_decisions() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (std::size_t i = 0; i < records_.size(); ++i)
    if (point_.go_on && point_.done[i] != 0)
      all.insert(all.end(), records_[i]->decisions.begin(), records_[i]->decisions.end());
  return all;
}

void RunLog::begin(const QuantizeOptions& options) {
  std::string why;
  std::optional<Journal> journal = Journal::open(journal_path(directory_), why);
  if (!journal) fail(Fault::io, "{}: {}", journal_path(directory_), why);
  journal_ = std::make_unique<Journal>(std::move(*journal));
  // Records of what is about to be overwritten end here.
  std::vector<std::size_t> writes;
  for (std::size_t i = 0; i < point_.done.size(); ++i)
    if (point_.done[i] == 0) writes.push_back(i);
  const Json record = {{"run", print_json(keys_.run)}, {"asked", asked(options)}, {"writes", writes}};
  journal_->append(record.dump(-1, ' ', false, Json::error_handler_t::replace));
  sync_directory(directory_);
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

void RunLog::commit(const VisitRecord& record, ShardSink& sink, PendingBoundary* leaving) {
  if (const auto& before = records_[record.visit]; before && before->source_hash != record.source_hash)
    fail(Fault::mismatch,
         "{}: its source has other bytes ({:016x}) than when it was read before ({:016x}), though size and time of the "
         "files are the same; --resume never starts over",
         record.name, record.source_hash, before->source_hash);
  sink.sync_data();
  if (leaving != nullptr) leaving->publish();
  journal_->append(record_text(record));
  ++committed_;
  if (shape_ && record.visit < keys_.boundaries.size()) store_.drop(keys_.boundaries[record.visit]);
}

void RunLog::note_publishing(const FileIdentity& partial) {
  journal_->append(Json{{"publishing", {{"device", partial.device}, {"inode", partial.inode}}}}.dump());
}

// The journal goes last: as long as it is there, the next run knows that there is something to tidy up.
void RunLog::finish() {
  remove_tree(boundary_folder(directory_));
  clear();
}

bool finished_before(const QuantizeOptions& options) {
  std::string why;
  if (options.resume == Resume::never || !is_directory(options.output)) return false;
  const std::optional<JournalContents> contents = read_journal(journal_path(options.work_directory), why);
  if (!contents) return false;
  std::string asked_then;
  std::optional<FileIdentity> published;
  for (const std::string& text : contents->records) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) return false;
    if (json.contains("asked")) asked_then = json.value("asked", "");
    if (json.contains("publishing"))
      published = {json["publishing"].value("device", std::uint64_t{0}),
                   json["publishing"].value("inode", std::uint64_t{0})};
  }
  if (!published || asked_then != asked(options) || *published != identity_of(options.output)) return false;
  const FileLock lock = lock_work_directory(options.work_directory);  // the run that wrote it may be tidying up itself
  if (exists(partial_folder(options.output))) remove_tree(partial_folder(options.output));  // what --force replaced
  remove_tree(boundary_folder(options.work_directory));
  remove_tree(journal_path(options.work_directory));
  return true;
}

}  // namespace strata
