// What a run has done so far, kept in its work directory so that it goes on after any interruption: a journal with one
// record a visit, and the hidden states that enter the next one. docs/cache-format.md has the bytes, docs/design.md the
// order in which they reach the disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "cache/codec_choice.h"
#include "cache/journal.h"
#include "cache/store.h"
#include "engine/output/sink.h"
#include "engine/plan/request.h"
#include "engine/work/run_keys.h"

namespace strata {

// A visit whose tensors are in the partial output, and durable.
struct VisitRecord {
  std::size_t visit = 0;
  std::string name;
  std::string kind = {};          // "moe": visits of a kind take about as long
  double seconds = 0;             // to compute it
  Fingerprint key;                // what they were computed from
  std::uint64_t source_hash = 0;  // of the bytes that were read for it
  std::uint64_t output_hash = 0;  // of the bytes that were written for it
  std::vector<std::pair<std::string, std::string>> decisions;
};

// What of an earlier run still counts.
struct ResumePoint {
  bool go_on = false;                     // some of it does: the partial output stays
  std::vector<char> done;                 // of each visit: taken over
  std::size_t first = 0;                  // the first visit that is computed
  std::vector<std::string> differences;   // "--scheme: NVFP4 -> MXFP4"
  std::string reason;                     // why nothing counts; empty when something does, or there was nothing
  std::vector<std::string> explanations;  // one of each visit: "taken over", "computed: no record of it"
};

// Used by the run's thread until the writer starts to commit, then by the writer's thread.
class RunLog {
 public:
  struct Options {
    const PlacesRequest& places;
    Resume resume = Resume::automatic;
    Budget& disk;              // of the work directory; outlives the log
    bool scarce_disk = false;  // small files count more than fast ones
    bool keep_states = true;   // those between layers, where there is data
  };
  // Decides what counts, removes what does not. Error{mismatch} with --resume require when something differs. `keys`
  // outlive the log.
  RunLog(const Prepared& prepared, const RunKeys& keys, const Options& options);

  const ResumePoint& resume() const { return point_; }
  const std::string& run_id() const { return run_id_; }  // that of the run that began the partial output

  // The hidden states that enter the first visit, when it is not the embedding. Once.
  std::optional<BoundaryReader> take_entering() { return std::exchange(entering_, std::nullopt); }
  std::vector<std::pair<std::string, std::string>> earlier_decisions() const;
  std::map<std::string, double> longest_seconds() const;  // of the visits that are taken over, by kind

  void begin();  // once the partial output stands: from here on records count

  const Fingerprint& key(std::size_t visit) const { return keys_.visits[visit]; }
  const std::string& visit_name(std::size_t visit) const { return keys_.names[visit]; }

  // For all boundaries from now on, measured on one and on the disk of the work directory.
  CodecChoice choose_codec(std::span<const float> sample, int threads) const;

  // A file for the hidden states that leave a visit; nullptr without data and for the last visit. Error{budget} when
  // --disk does not hold them.
  std::shared_ptr<PendingBoundary> keep_boundary(std::size_t visit, FrameCodec codec);

  // Makes the visit count: output, hidden states and record reach the disk in this order. Then what the visit before
  // needed goes. Error{mismatch} when the source has other bytes than when the visit was read before.
  void commit(VisitRecord record, ShardSink& sink, PendingBoundary* leaving);

  std::size_t layers_kept() const;  // decoder layers that count, those of an earlier run included

  // The partial folder is about to become the output, in the place of what stands there.
  void note_publishing(const FileIdentity& partial, const std::string& output);
  void finish();  // the output is there: nothing is left to go on from

 private:
  struct Earlier;
  void decide(const Options& options, const Prepared& prepared, const std::optional<Earlier>& earlier);
  void find_entering(const BoundaryShape& shape, int threads);

  const std::string directory_;
  const RunKeys& keys_;
  const std::optional<BoundaryShape> shape_;
  const bool scarce_disk_;
  std::size_t committed_ = 0;  // visits, by this run
  Store store_;
  std::unique_ptr<Journal> journal_;
  ResumePoint point_;
  std::string run_id_;
  std::optional<BoundaryReader> entering_;
  std::vector<std::optional<VisitRecord>> records_;        // of each visit, by an earlier run, whose key still holds
  std::vector<std::optional<std::uint64_t>> read_before_;  // source hash of each visit, where its source is the same
};

// A run that was killed after its output had appeared.
struct PublishedRun {
  Fingerprint run;                       // RunKeys::run, of then
  std::optional<FileIdentity> replaced;  // the output that its --force exchanged, which may still lie about
};

// nullopt unless the journal says that the folder at places.output is what its run made. With Resume::never too.
std::optional<PublishedRun> published_before(const PlacesRequest& places, Resume resume);

// Removes what that run had no time to. Error{busy} while another one holds the work directory.
void tidy_up_after(const PublishedRun& run, const PlacesRequest& places);

}  // namespace strata
