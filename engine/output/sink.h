// Writes the output into "<OUT>.partial" at planned offsets and makes it appear as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/leased_buffer.h"
#include "engine/output/output_folder.h"
#include "engine/plan/output_plan.h"

namespace strata {

// Bytes of an output tensor, from `skip` on.
struct OutputPiece {
  std::size_t slot = 0;
  std::uint64_t skip = 0;
  std::span<const std::byte> bytes;
};

struct SinkOptions {
  bool go_on = false;       // in the partial folder that an earlier run left
  std::string run_id = {};  // of the run that began it; kept there until the output appears
  WriteMode mode = WriteMode::buffered;
  bool shared = false;  // with other processes of the run, each of which writes some of the visits
};

// Keeps the partial folder when it is destroyed, unless discard() was called. One thread at a time.
class ShardSink {
 public:
  // Makes the folder (a stale one is removed) and allocates every shard at its full size, or opens what is there.
  // Errors as those of claim_partial_folder; Error{io} when the disk is full. `plan` and `memory` outlive it; the
  // texts of the plan are not needed any more.
  ShardSink(const OutputPlan& plan, const std::string& output, Budget& memory, const SinkOptions& options = {});
  // The errors of that which are known without making or removing anything.
  static void require_place(const OutputPlan& plan, const std::string& output, bool shared = false);
  ShardSink(const ShardSink&) = delete;
  ShardSink& operator=(const ShardSink&) = delete;

  // Pieces that lie together in the output go to the disk together. Error{bug} for a slot that is not planned, for
  // bytes beyond its end or written twice.
  void write(std::span<const OutputPiece> pieces);

  // Sum over the tensors completed since the last call of a hash of name and bytes.
  std::uint64_t take_hash() { return std::exchange(hash_, 0); }

  void was_written(const VisitSlots& visit);  // all of it, by an earlier run
  void sync_data();                           // what was written is on the disk when it returns

  // Checks that every tensor came, writes config and sidecars, syncs: the partial folder is a checkpoint.
  void complete(const Checkpoint& source);
  // Renames what is complete to `output`. With `replace` an existing output is exchanged in one step and then removed.
  void publish(bool replace);

  void discard();                               // removes the partial folder
  bool joined() const { return claim_.joins; }  // what was in the partial folder is still there
  // Whether another process that shares the folder has published it. Error{io} when it is neither here nor there.
  bool published() const;

  FileIdentity identity() const { return identity_of(folder_); }  // of the partial folder

  // Memory that it takes: the buffer that gathers pieces, and that of direct writes.
  static constexpr std::uint64_t gather_bytes = 8u << 20;
  static constexpr std::uint64_t memory_bytes = gather_bytes + 4096 + write_staging_bytes;

 private:
  struct Placed;
  void write_index(const std::string& path) const;
  void count(const OutputPiece& piece);
  void write_together(OutputFile& shard, std::span<const Placed> pieces);

  const OutputPlan& plan_;
  const std::string output_;
  const std::string folder_;
  const bool shared_;
  const SharedFolder claim_;
  const FileLock& lock_ = claim_.lock;  // on the partial folder
  std::vector<OutputFile> shards_;
  std::vector<char> dirty_;                       // of each shard: written since the last sync
  std::vector<std::uint64_t> seen_;               // of each slot: bytes so far
  std::unordered_map<std::size_t, Hasher> open_;  // of slots of which a part is written
  std::uint64_t hash_ = 0;
  const Lease staging_;  // of direct writes
  LeasedBuffer gather_;
};

// The same sum as take_hash() of a visit's tensors that are in the partial folder of `output`. Error{io} when reading
// fails.
std::uint64_t output_hash(const OutputPlan& plan, const std::string& output, const VisitSlots& visit);

// What a journal knows of the folder that its run wrote in.
struct PartialOwner {
  std::string run_id;                          // in its run id file
  std::optional<FileIdentity> published = {};  // of the folder, when it was about to become the output
};

// Whether the partial folder of `output` is that of the owner and holds every shard of the plan with its
// header and size, so that a run can go on there.
bool partial_matches(const OutputPlan& plan, const std::string& output, const PartialOwner& owner);

}  // namespace strata
