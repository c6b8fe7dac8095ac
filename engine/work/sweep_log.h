// One sweep of a run in its log: what of an earlier run counts, and what this one commits, visit by visit.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/output/sink.h"
#include "engine/work/run_log.h"

namespace strata {

// What of an earlier run still counts.
struct ResumePoint {
  std::vector<char> done;                 // of each visit: taken over
  std::vector<std::string> explanations;  // one of each visit: "taken over", "computed: no record of it"
};

// Used by the run's thread until the writer starts to commit, then by the writer's thread too: what each calls is
// said below.
class SweepLog {
 public:
  SweepLog(RunLog& run, const RunPlan& plan, std::size_t index);

  const ResumePoint& resume() const { return point_; }
  bool complete() const;                                                    // nothing of the sweep is left to compute
  bool takes_over() const;                                                  // some of what an earlier run did
  std::size_t first_visit() const { return visit_at(first_to_compute()); }  // to compute, where something is left

  // Nothing of what this process did before counts any more.
  void forget_own(const std::string& why);

  std::vector<std::pair<std::string, std::string>> earlier_decisions() const;
  std::map<std::string, double> longest_seconds() const;  // of the visits that are taken over, by kind

  void begin();  // from here on records count; once the partial output stands, where the sweep writes it

  const Fingerprint& key(std::size_t visit) const { return keys_.steps.at(visit); }
  // Of a fact that the sweep or one before it keeps, and that is no hidden states.
  const Fingerprint& fact_key(const FactInfo& fact, std::size_t visit) const;
  const std::string& visit_name(std::size_t visit) const { return run_.keys_.names.at(visit); }
  CodecChoice choose_codec(std::span<const float> sample, int threads) const {
    return run_.choose_codec(sample, threads);
  }

  // Hidden states of a lane that enter the first visit to compute, where an earlier run kept them.
  std::optional<BoundaryReader> entering(const FactInfo& fact, std::size_t lane, int threads) const;

  // A file for the hidden states of a lane that leave a visit; nullptr without data and for the last visit.
  // Error{budget} when --disk does not hold them.
  std::shared_ptr<PendingBoundary> keep_states(const FactInfo& fact, std::size_t lane, std::size_t visit,
                                               FrameCodec codec);

  // What enters the last visit of the first lane of a fact whose end stays; nullopt when it is not there, or not whole.
  std::optional<BoundaryReader> end_states(const FactInfo& fact, int threads) const;

  // What an earlier sweep kept. Error{io} when it is not there any more.
  BoundaryReader found_states(const FactInfo& fact, std::size_t lane, std::size_t visit, int threads) const;
  std::shared_ptr<void> found(const FactInfo& fact, std::size_t visit) const;
  // What this sweep kept of the whole model; nullptr when it is not there.
  std::shared_ptr<void> decided(const FactInfo& fact) const;

  // By the writer's thread. Makes the visit count: output, what is kept of it and record reach the disk in this order.
  // Then what the visit before needed goes. Error{mismatch} when the source has other bytes than when the visit was
  // read before. `sink`: nullptr where the sweep writes no output. `facts`: bytes of what a later sweep wants.
  struct Results {
    ShardSink* sink = nullptr;
    std::vector<std::shared_ptr<PendingBoundary>> states = {};
    std::vector<std::pair<const FactInfo*, std::string>> facts = {};
  };
  void commit(VisitRecord record, const Results& results);

  void keep_decided(const FactInfo& fact, std::string_view bytes);  // of the whole model, at the end of the sweep

  std::vector<Fingerprint> needed() const;  // what a run that goes on here wants of what was kept

 private:
  void decide(const RunPlan& plan);
  void look_at_records(const RunPlan& plan);
  void look_at_states(const RunPlan& plan);
  void forget(std::size_t visit, const std::string& why);
  bool stays(const FactInfo& fact) const;  // a later sweep wants it
  bool keeps_states() const { return run_.options_.keep_states && !sweep_.moving.empty(); }
  std::size_t place_of(std::size_t visit) const { return reverse_ ? count_ - 1 - visit : visit; }
  std::size_t visit_at(std::size_t place) const { return reverse_ ? count_ - 1 - place : place; }
  const Fingerprint& leaving(const FactInfo& fact, std::size_t visit) const;
  std::size_t first_to_compute() const;  // place, in the order of the sweep

  RunLog& run_;
  const std::size_t index_;
  const PlannedSweep& sweep_;
  const SweepKeys& keys_;
  const bool reverse_, writes_output_;
  const bool for_caller_;    // what comes of it is nowhere on disk: its last visit counts never
  const std::size_t count_;  // visits
  ResumePoint point_;
  std::vector<std::optional<VisitRecord>> records_;        // by an earlier run, whose key still holds
  std::vector<std::optional<std::uint64_t>> read_before_;  // source hash of each visit, where its source is the same
};

}  // namespace strata
