#include "engine/work/run_log.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "engine/work/differences.h"
#include "engine/work/sweep_log.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

std::string boundary_folder(const std::string& directory) { return join_path(directory, work_names::boundaries); }

// Tells this run from all others, also from one of the same command: nothing that is written depends on it.
std::string fresh_run_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

}  // namespace

RunLog::RunLog(const RunKeys& keys, const Options& options)
    : directory_(options.places.work_directory),
      keys_(keys),
      options_(options),
      kept_(boundary_folder(directory_), options.disk) {
  if (options.resume != Resume::never) earlier_ = EarlierRun::read(directory_, options.start_over, reason_);
  if (earlier_) differences_ = told_differences(keys_.run, earlier_->run);
  if (options.resume != Resume::require) return;
  if (!earlier_)
    fail(Fault::mismatch, "{}: --resume require, but there is nothing to go on from{}", directory_,
         reason_.empty() ? "" : ": " + reason_);
  if (!differences_.empty())
    fail(Fault::mismatch, "{}: --resume require, but {}; --resume auto computes again what depends on it", directory_,
         fmt::format("{}", fmt::join(differences_, "; ")));
}

RunLog::~RunLog() = default;

SweepLog& RunLog::open_sweep(const RunPlan& plan, std::size_t index) {
  sweep_ = std::make_unique<SweepLog>(*this, plan, index);
  if (index == 0) settle(*sweep_, plan);
  if (go_on_) visits_kept_ += static_cast<std::size_t>(std::ranges::count(sweep_->resume().done, 1));
  return *sweep_;
}

void RunLog::settle(const SweepLog& first, const RunPlan& plan) {
  go_on_ = first.takes_over();
  run_id_ = go_on_ ? earlier_->owner.run_id : fresh_run_id();
  if (!options_.share.whole()) run_id_ = shared_run_id(keys_.run);
  if (!go_on_) {
    if (earlier_ && reason_.empty()) reason_ = "no layer of it still counts";
    earlier_.reset();
    remove_journal(directory_);
  }
  // What later sweeps kept is theirs to look at.
  if (!go_on_ || plan.sweeps.size() == 1) kept_.sweep_leftovers(first.needed());
}

CodecChoice RunLog::choose_codec(std::span<const float> sample, int threads) const {
  // The probe takes 64 MiB for a moment. A disk where that is much, or that fails, is not measured: small files count.
  constexpr std::uint64_t least_free = 1u << 30;
  const std::string folder = boundary_folder(directory_);
  if (!options_.scarce_disk && free_disk_bytes(folder) >= least_free) {
    try {
      DiskProbe probe(folder);
      return strata::choose_codec(sample, {.threads = threads, .disk = probe});
    } catch (const Error& error) {
      if (error.fault != Fault::io) throw;
    }
  }
  return strata::choose_codec(sample, {.threads = threads, .scarce_disk = true});
}

std::optional<std::string> RunLog::missing(const OutputPlan& output) const {
  const ShareRequest& share = options_.share;
  const std::vector<Fingerprint>& steps = keys_.sweep(0).steps;
  std::vector<std::optional<EarlierRun>> others(share.nodes);
  std::string reason;
  for (std::size_t node = 0; node < share.nodes; ++node)
    others[node] = EarlierRun::read(share.work_directory(node), options_.start_over, reason);
  for (std::size_t visit = 0; visit < steps.size(); ++visit) {
    const std::optional<EarlierRun>& owner = others[visit % share.nodes];
    const auto record = owner ? owner->steps.find({0, visit}) : decltype(owner->steps.end())();
    // A folder that another run has cleared meanwhile has other bytes.
    if (!owner || record == owner->steps.end() || !steps[visit].differences(record->second.key).empty() ||
        output_hash(output, options_.places.output, output.visits[visit]) != record->second.output_hash)
      return fmt::format("{} of process {}, which keeps its records in {},", keys_.names[visit],
                         visit % share.nodes + 1, share.work_directory(visit % share.nodes));
  }
  return std::nullopt;
}

void RunLog::require_one_run() const {
  const ShareRequest& share = options_.share;
  if (options_.resume == Resume::never) return;
  for (std::size_t node = 0; node < share.nodes; ++node) {
    if (node == share.node) continue;
    std::string reason;
    const std::string directory = share.work_directory(node);
    const std::optional<EarlierRun> other = EarlierRun::read(directory, options_.start_over, reason);
    if (!other || other->steps.empty() || other->owner.published) continue;  // nothing of it would go
    if (const std::vector<std::string> differences = told_differences(keys_.run, other->run); !differences.empty())
      fail(Fault::mismatch, "{}: process {} of the same output began another run: {}; {}, and what it wrote goes",
           directory, node + 1, fmt::join(differences, "; "), options_.start_over);
  }
}

std::size_t RunLog::layers_kept() const {
  return visits_kept_ == 0 ? 0 : visits_kept_ - 1;  // the embedding is none
}

void RunLog::note_publishing(const FileIdentity& partial, const std::string& output) {
  nlohmann::ordered_json record = {{"publishing", {{"device", partial.device}, {"inode", partial.inode}}}};
  if (exists(output)) {
    const FileIdentity replaced = identity_of(output);
    record["replaces"] = {{"device", replaced.device}, {"inode", replaced.inode}};
  }
  const ShareRequest& share = options_.share;
  for (std::size_t node = 0; node < share.nodes; ++node) {
    if (share.whole() || node == share.node) continue;
    JournalMiss miss;
    const std::string path = journal_path(share.work_directory(node));
    std::optional<Journal> other = Journal::open(path, miss);
    if (!other) fail(Fault::io, "{}: {}", path, miss.text);
    other->append(record.dump());
  }
  journal_->append(record.dump());
}

void RunLog::finish() {
  sweep_.reset();
  kept_.sweep_leftovers({});
  remove_boundaries(directory_);
  // Last: as long as it is there, the next run tidies up.
  remove_tree(journal_path(directory_));
}

}  // namespace strata
