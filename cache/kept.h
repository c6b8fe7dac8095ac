// What outlives a sweep, by fingerprint, in a folder of the work directory: hidden states in files "<fingerprint>.sba",
// any other fact in "<fingerprint>.fact". A file counts only when every byte of it is right. docs/cache-format.md has
// the bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/budget.h"
#include "base/mutex.h"
#include "cache/boundary_file.h"
#include "cache/fingerprint.h"

namespace strata {

class Kept;

// A boundary that is being written. It has leased its worst case from the disk budget; given up unless published.
class PendingBoundary {
 public:
  BoundaryWriter& writer() { return writer_; }
  void publish();  // durable under its name when it returns; the lease shrinks to the real size

 private:
  friend class Kept;
  PendingBoundary(Kept& store, std::string hash, const BoundaryShape& shape, FrameCodec wanted, Lease lease);
  Kept& kept_;
  const std::string hash_;
  Lease lease_;
  BoundaryWriter writer_;
};

// Thread-safe. Outlives what it put; the budget outlives it.
class Kept {
 public:
  Kept(std::string folder, Budget& disk);  // makes the folder

  // A boundary with every stored byte verified; nullopt with the reason ("act/1a2b.sba: is missing").
  std::optional<BoundaryReader> get(const Fingerprint& fingerprint, const BoundaryShape& shape, int threads,
                                    std::string& why_not);

  // Error{budget} when the disk budget does not hold the worst case.
  std::unique_ptr<PendingBoundary> put(const Fingerprint& fingerprint, const BoundaryShape& shape, FrameCodec wanted);

  // Bytes of a fact, durable when it returns. Error{budget} when the disk budget does not hold them.
  void put_fact(const Fingerprint& fingerprint, std::string_view bytes);
  // nullopt with the reason.
  std::optional<std::string> get_fact(const Fingerprint& fingerprint, std::string& why_not);

  void drop(const Fingerprint& fingerprint);  // hidden states or a fact; fine when there are none

  // Removes all that is none of `keep`, and what killed writers left. Other files are left alone.
  // Files that stay are charged to the disk budget. Call it before the first put. Returns the names that were removed.
  std::vector<std::string> sweep_leftovers(std::span<const Fingerprint> keep);

  std::string path_of(const Fingerprint& fingerprint) const;       // of hidden states
  std::string fact_path_of(const Fingerprint& fingerprint) const;  // of any other fact

 private:
  friend class PendingBoundary;
  std::string path_of_hash(const std::string& hash) const;
  void charge(const std::string& hash, std::uint64_t bytes);  // an existing file
  void forget(const std::string& hash);                       // the file is gone
  void adopt(const std::string& hash, Lease lease);

  const std::string folder_;
  Budget& disk_;
  Mutex mutex_;
  std::map<std::string, Lease> held_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata
