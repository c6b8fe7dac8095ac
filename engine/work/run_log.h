// What a run has done so far, kept in its work directory so that it goes on after any interruption: a journal with one
// record a visit of a sweep, and what outlives visits and sweeps. docs/cache-format.md has the bytes, docs/design.md
// the order in which they reach the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "cache/codec_choice.h"
#include "cache/journal.h"
#include "cache/kept.h"
#include "engine/graph/run_plan.h"
#include "engine/plan/request.h"
#include "engine/work/earlier_run.h"
#include "engine/work/run_keys.h"

namespace strata {

class SweepLog;

// Used by the run's thread, and by the writer's while a sweep commits.
class RunLog {
 public:
  struct Options {
    const PlacesRequest& places;
    Resume resume = Resume::automatic;
    Budget& disk;              // of the work directory; outlives the log
    bool scarce_disk = false;  // small files count more than fast ones
    bool keep_states = true;   // those between layers, where there is data
    ShareRequest share = {};
    std::string_view start_over = "--resume never starts over";  // how the user gets rid of what is there
  };
  // Reads what an earlier run left. Error{mismatch} with --resume require when there is nothing or something differs.
  // `keys` outlive the log.
  RunLog(const RunKeys& keys, const Options& options);
  ~RunLog();

  // Decides what of a sweep counts. The first sweep decides whether the run goes on at all: where it does not, what
  // was left is removed. In order; the log of a sweep lives until the next is opened. Its keys are known.
  SweepLog& open_sweep(const RunPlan& plan, std::size_t index);

  bool go_on() const { return go_on_; }                  // some of an earlier run counts
  const std::string& reason() const { return reason_; }  // why nothing does; empty when something does, or nothing was
  const std::vector<std::string>& differences() const { return differences_; }  // "--scheme: NVFP4 -> MXFP4"
  const std::string& run_id() const { return run_id_; }  // that of the run that began the partial output

  // For all boundaries from now on, measured on one and on the disk of the work directory.
  CodecChoice choose_codec(std::span<const float> sample, int threads) const;

  // Whether the journals of the processes that share the output have every visit, and it is in the partial folder as
  // they wrote it: what is missing, or nothing.
  std::optional<std::string> missing(const OutputPlan& output) const;

  std::size_t layers_kept() const;  // decoder layers that count, those of an earlier run included

  // Error{mismatch} when the records of another process that shares the output are of another run, unless it is to
  // start over: what they wrote would go.
  void require_one_run() const;

  // The partial folder is about to become the output, in the place of what stands there. Those who share it know too.
  void note_publishing(const FileIdentity& partial, const std::string& output);
  void finish();  // the output is there: nothing is left to go on from

 private:
  friend class SweepLog;
  void settle(const SweepLog& first, const RunPlan& plan);

  const std::string directory_;
  const RunKeys& keys_;
  const Options options_;
  Kept kept_;
  std::unique_ptr<Journal> journal_;  // once the first sweep has begun
  std::optional<EarlierRun> earlier_;
  std::vector<std::string> differences_;
  std::string reason_, run_id_;
  bool go_on_ = false;
  std::size_t visits_kept_ = 0;
  std::unique_ptr<SweepLog> sweep_;
};

}  // namespace strata
