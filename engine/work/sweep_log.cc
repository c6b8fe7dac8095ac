#include "engine/work/sweep_log.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "engine/graph/facts.h"
#include "engine/output/output_folder.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

// Whether two visits read the same tensors of the same files, whatever they make of them.
bool same_source(const Fingerprint& one, const Fingerprint& other) {
  return std::ranges::all_of(
      std::array{source_keys::files, source_keys::tensors, source_keys::lanes, source_keys::left_out},
      [&](std::string_view part) { return one.value(part) == other.value(part); });
}

// Each lane has files of its own.
Fingerprint of_lane(Fingerprint print, std::size_t lane) {
  if (lane > 0) print.add("lane", std::to_string(lane));
  return print;
}

}  // namespace

SweepLog::SweepLog(RunLog& run, const RunPlan& plan, std::size_t index)
    : run_(run),
      index_(index),
      sweep_(plan.sweeps.at(index)),
      keys_(run.keys_.sweep(index)),
      reverse_(sweep_.passes.direction == Direction::reverse),
      writes_output_(sweep_.passes.writes(facts::output)),
      for_caller_(!writes_output_ && sweep_.passes.keeps.empty()),
      count_(keys_.steps.size()) {
  point_.done.assign(count_, 0);
  point_.explanations.assign(count_, "computed: there is no record of it");
  records_.resize(count_);
  read_before_.resize(count_);
  for (std::size_t visit = 0; visit < count_; ++visit)
    if (for_caller_ && plan.model.visits[visit].kind == Visit::Kind::section) {
      point_.done[visit] = 1;
      point_.explanations[visit] = "nobody looks into it";
    }
  decide(plan);
  for (std::size_t visit = 0; visit < count_; ++visit) {
    if (run.options_.share.mine(visit)) continue;
    point_.done[visit] = 1;
    point_.explanations[visit] = "another process's";
    records_[visit].reset();
  }
}

void SweepLog::forget_own(const std::string& why) {
  for (std::size_t visit = 0; visit < count_; ++visit)
    if (run_.options_.share.mine(visit)) {
      forget(visit, "computed: " + why);
      records_[visit].reset();
    }
}

bool SweepLog::takes_over() const {
  if (count_ == 0) return run_.earlier_ && complete();
  for (std::size_t visit = 0; visit < count_; ++visit)
    if (point_.done[visit] != 0 && records_[visit]) return true;
  return false;
}

void SweepLog::decide(const RunPlan& plan) {
  const std::optional<EarlierRun>& earlier = run_.earlier_;
  const std::string& output = run_.options_.places.output;
  const bool partial = earlier && (!writes_output_ || partial_matches(*plan.output, output, earlier->owner));
  if (earlier && !partial) run_.reason_ = fmt::format("{} is not there as it was left", partial_folder(output));
  if (run_.options_.resume == Resume::require && !partial && index_ == 0)
    fail(Fault::mismatch, "{}: --resume require, but {}", run_.directory_, run_.reason_);
  if (!partial) return;
  look_at_records(plan);
  if (keeps_states()) look_at_states(plan);
  // What is learnt of the whole model is learnt in one go, unless it is there.
  for (const FactInfo* fact : sweep_.passes.keeps)
    if (fact->whole_model && decided(*fact) == nullptr)
      for (std::size_t visit = 0; visit < count_; ++visit)
        forget(visit, fmt::format("computed: {} is not decided", fact->name));
}

void SweepLog::look_at_records(const RunPlan& plan) {
  const EarlierRun& earlier = *run_.earlier_;
  for (std::size_t i = 0; i < count_; ++i) {
    if (const auto last = earlier.last.find({index_, i});
        last != earlier.last.end() && same_source(keys_.steps[i], last->second.key))
      read_before_[i] = last->second.source_hash;
    const auto found = earlier.steps.find({index_, i});
    if (found == earlier.steps.end()) continue;
    if (for_caller_ && place_of(i) + 1 == count_) {
      point_.explanations[i] = "computed: what came of it went with the process";
      continue;
    }
    const std::vector<std::string> differences = keys_.steps[i].differences(found->second.key);
    if (!differences.empty()) {
      point_.explanations[i] = fmt::format("computed: {}", fmt::join(differences, "; "));
      continue;
    }
    records_[i] = found->second;
    point_.done[i] = 1;
    point_.explanations[i] = "taken over";
    if (writes_output_ &&
        output_hash(*plan.output, run_.options_.places.output, plan.output->visits[i]) != records_[i]->output_hash)
      forget(i, fmt::format("computed: its bytes in {} are not those that were written",
                            partial_folder(run_.options_.places.output)));
    std::string why;
    for (const FactInfo* fact : sweep_.passes.keeps)
      if (!fact->moves_on && !fact->whole_model && !run_.kept_.get_fact(keys_.of(*fact).at(i), why))
        forget(i, "computed: " + why);
  }
}

// Hidden states reach a visit through all before it: computing starts where some are kept, or at the first visit. Where
// a later sweep wants them, those of all visits before must be there.
void SweepLog::look_at_states(const RunPlan& plan) {
  const int threads = sweep_.cut.cut.threads;
  std::size_t first = first_to_compute();
  const std::string wanted = first < count_ ? visit_name(visit_at(first)) : "";
  const auto there = [&](std::size_t place, bool only_staying, std::string& why) {
    // Sections have none, and the embedding makes them.
    const Visit::Kind kind = plan.model.visits[visit_at(place)].kind;
    if (kind == Visit::Kind::section || (!reverse_ && kind == Visit::Kind::embedding)) return true;
    return std::ranges::all_of(sweep_.moving, [&](const MovingStates& states) {
      if (only_staying && !stays(*states.fact)) return true;
      for (std::size_t lane = 0; lane < states.lanes; ++lane)
        if (states.enters(lane, visit_at(place)) &&
            !run_.kept_.get(of_lane(keys_.of(*states.fact)[visit_at(place)], lane), states.shape, threads, why))
          return false;
      return true;
    });
  };
  std::string why;
  if (std::ranges::any_of(sweep_.moving, [&](const MovingStates& states) { return stays(*states.fact); }))
    for (std::size_t place = 1; place < std::min(first + 1, count_); ++place)
      if (!there(place, true, why)) first = place - 1;
  for (const MovingStates& states : sweep_.moving)
    if (first == count_ && states.fact->end_stays && !end_states(*states.fact, threads))
      forget(visit_at(--first), "computed: what entered it is wanted and gone");
  if (first < count_)
    while (first > 0 && !there(first, false, why)) {
      --first;
      forget(visit_at(first), fmt::format("computed: {} needs what leaves it, and {}", wanted, why));
    }
  for (std::size_t place = first; place < count_; ++place) forget(visit_at(place), "computed: a layer before it is");
}

void SweepLog::forget(std::size_t visit, const std::string& why) {
  if (point_.done[visit] != 0) point_.explanations[visit] = why;
  point_.done[visit] = 0;
}

std::size_t SweepLog::first_to_compute() const {
  std::size_t place = 0;
  while (place < count_ && point_.done[visit_at(place)] != 0) ++place;
  return place;
}

bool SweepLog::complete() const {
  if (count_ > 0) return first_to_compute() == count_;
  return !sweep_.passes.keeps.empty() &&
         std::ranges::all_of(sweep_.passes.keeps, [&](const FactInfo* fact) { return decided(*fact) != nullptr; });
}

bool SweepLog::stays(const FactInfo& fact) const {
  return std::ranges::find(sweep_.passes.keeps, &fact) != sweep_.passes.keeps.end();
}

const Fingerprint& SweepLog::leaving(const FactInfo& fact, std::size_t visit) const {
  const std::size_t next = place_of(visit) + 1;
  return keys_.of(fact)[next == count_ ? count_ : visit_at(next)];
}

std::vector<Fingerprint> SweepLog::needed() const {
  std::vector<Fingerprint> prints;
  const std::size_t first = first_to_compute();
  if (!run_.go_on_ || !keeps_states() || first == count_) return prints;
  for (const MovingStates& states : sweep_.moving)
    for (std::size_t lane = 0; lane < states.lanes; ++lane)
      if (states.enters(lane, visit_at(first)))
        prints.push_back(of_lane(keys_.of(*states.fact)[visit_at(first)], lane));
  return prints;
}

std::vector<std::pair<std::string, std::string>> SweepLog::earlier_decisions() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (std::size_t i = 0; i < count_; ++i)
    if (point_.done[i] != 0 && records_[i])
      all.insert(all.end(), records_[i]->decisions.begin(), records_[i]->decisions.end());
  return all;
}

std::map<std::string, double> SweepLog::longest_seconds() const {
  std::map<std::string, double> longest;
  for (std::size_t i = 0; i < count_; ++i)
    if (point_.done[i] != 0 && records_[i]) {
      double& seconds = longest[records_[i]->kind];
      seconds = std::max(seconds, records_[i]->seconds);
    }
  return longest;
}

const Fingerprint& SweepLog::fact_key(const FactInfo& fact, std::size_t visit) const {
  return keys_.facts.contains(&fact) ? keys_.of(fact).at(visit) : run_.keys_.found(fact, index_).at(visit);
}

void SweepLog::begin() {
  if (run_.journal_ == nullptr) {
    const std::string path = journal_path(run_.directory_);
    JournalMiss miss;
    std::optional<Journal> journal = Journal::open(path, miss);
    if (!journal) fail(Fault::io, "{}: {}", path, miss.text);
    run_.journal_ = std::make_unique<Journal>(std::move(*journal));
  }
  // Records of what is about to be made anew end here.
  std::vector<std::size_t> writes;
  for (std::size_t i = 0; i < count_; ++i)
    if (point_.done[i] == 0) writes.push_back(i);
  const nlohmann::ordered_json record = {
      {"run", print_json(run_.keys_.run)}, {"id", run_.run_id_}, {"sweep", index_}, {"writes", writes}};
  run_.journal_->append(record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  sync_directory(run_.directory_);
  sync_directory(parent_directory(run_.directory_));
}

std::optional<BoundaryReader> SweepLog::entering(const FactInfo& fact, std::size_t lane, int threads) const {
  const std::size_t first = first_to_compute();
  if (first == 0 || first == count_ || !keeps_states()) return std::nullopt;
  const MovingStates& states = *find_states(sweep_.moving, fact);
  if (!states.enters(lane, visit_at(first))) return std::nullopt;
  std::string why;
  return run_.kept_.get(of_lane(keys_.of(fact)[visit_at(first)], lane), states.shape, threads, why);
}

std::shared_ptr<PendingBoundary> SweepLog::keep_states(const FactInfo& fact, std::size_t lane, std::size_t visit,
                                                       FrameCodec codec) {
  const bool last = place_of(visit) + 1 == count_;
  const MovingStates& states = *find_states(sweep_.moving, fact);
  if (!keeps_states() || last || !states.leaves(lane, visit)) return nullptr;
  return run_.kept_.put(of_lane(leaving(fact, visit), lane), states.shape, codec);
}

std::optional<BoundaryReader> SweepLog::end_states(const FactInfo& fact, int threads) const {
  std::string why;
  return run_.kept_.get(keys_.of(fact)[visit_at(count_ - 1)], find_states(sweep_.moving, fact)->shape, threads, why);
}

BoundaryReader SweepLog::found_states(const FactInfo& fact, std::size_t lane, std::size_t visit, int threads) const {
  std::string why;
  std::optional<BoundaryReader> reader = run_.kept_.get(of_lane(run_.keys_.found(fact, index_)[visit], lane),
                                                        find_states(sweep_.found, fact)->shape, threads, why);
  if (!reader) fail(Fault::io, "hidden states of an earlier sweep: {}; the same command computes them again", why);
  return std::move(*reader);
}

std::shared_ptr<void> SweepLog::found(const FactInfo& fact, std::size_t visit) const {
  std::string why;
  const std::optional<std::string> bytes =
      run_.kept_.get_fact(run_.keys_.found(fact, index_)[fact.whole_model ? 0 : visit], why);
  std::shared_ptr<void> value = bytes ? fact.keeping->load(*bytes) : nullptr;
  if (value == nullptr)
    fail(Fault::io, "{} of an earlier sweep: {}; the same command computes it again", fact.name,
         bytes ? "its bytes say nothing" : why);
  return value;
}

std::shared_ptr<void> SweepLog::decided(const FactInfo& fact) const {
  std::string why;
  const std::optional<std::string> bytes = run_.kept_.get_fact(keys_.of(fact).front(), why);
  return bytes ? fact.keeping->load(*bytes) : nullptr;
}

void SweepLog::commit(VisitRecord record, const Results& results) {
  record.sweep = index_;
  if (const auto& before = read_before_[record.visit]; before && *before != record.source_hash)
    fail(Fault::mismatch,
         "{}: its source has other bytes ({:016x}) than when it was read before ({:016x}), though size and time of the "
         "files are the same; {}",
         record.name, record.source_hash, *before, run_.options_.start_over);
  if (results.sink != nullptr) {
    record.output_hash = results.sink->take_hash();
    results.sink->sync_data();
  }
  for (const std::shared_ptr<PendingBoundary>& states : results.states) states->publish();
  for (const auto& [fact, bytes] : results.facts) run_.kept_.put_fact(keys_.of(*fact).at(record.visit), bytes);
  run_.journal_->append(record_text(record));
  ++run_.visits_kept_;
  if (!keeps_states() || (for_caller_ && place_of(record.visit) + 1 == count_)) return;  // that is to be done again
  const bool last = place_of(record.visit) + 1 == count_;
  for (const MovingStates& states : sweep_.moving)
    if (!stays(*states.fact))
      for (std::size_t lane = last && states.fact->end_stays ? 1 : 0; lane < states.lanes; ++lane)
        run_.kept_.drop(of_lane(keys_.of(*states.fact)[record.visit], lane));
}

void SweepLog::keep_decided(const FactInfo& fact, std::string_view bytes) {
  run_.kept_.put_fact(keys_.of(fact).front(), bytes);
}

}  // namespace strata
