// Writes the output into "<OUT>.partial" at planned offsets and makes it appear as a whole.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/file.h"
#include "engine/output_plan.h"

namespace strata {

// Owns the partial folder: unless publish() returned, the destructor removes it. Not thread-safe.
class ShardSink {
 public:
  // Makes the folder (a stale one is removed) and allocates every shard at its full size. Errors as those of
  // claim_partial_folder; Error{io} when the disk is full.
  ShardSink(const OutputPlan& plan, const std::string& output);
  ~ShardSink();
  ShardSink(const ShardSink&) = delete;
  ShardSink& operator=(const ShardSink&) = delete;

  // Error{bug} for a tensor that is not planned, of another size, or written twice.
  void write(std::string_view tensor, std::span<const std::byte> bytes);

  // Checks that every tensor came, writes index, config and sidecars, syncs, renames to `output`. With
  // `replace` an existing output is exchanged in one step and then removed.
  void publish(const Checkpoint& source, bool replace);

  std::uint64_t written_bytes() const { return written_; }
 private:
  void discard();

  const OutputPlan& plan_;
  const std::string output_;
  const std::string folder_;
  const FileLock lock_;  // on the partial folder
  std::vector<OutputFile> shards_;
  std::unordered_set<std::string> seen_;
  std::uint64_t written_ = 0;
  bool published_ = false;
};

}  // namespace strata
