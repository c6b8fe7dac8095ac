// The boundaries of a work folder: files "<fingerprint>.sba". A file counts only when every byte of it is right.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/budget.h"
#include "base/mutex.h"
#include "cache/boundary_file.h"
#include "cache/fingerprint.h"

namespace strata {

class Store;

// A boundary that is being written. It has leased its worst case from the disk budget; given up unless published.
class PendingBoundary {
 public:
  BoundaryWriter& writer() { return writer_; }
  void publish();  // durable under its name when it returns; the lease shrinks to the real size

 private:
  friend class Store;
  PendingBoundary(Store& store, std::string hash, const BoundaryShape& shape, FrameCodec wanted, Lease lease);
  Store& store_;
  const std::string hash_;
  Lease lease_;
  BoundaryWriter writer_;
};

// Thread-safe. Outlives what it put; the budget outlives it.
class Store {
 public:
  Store(std::string folder, Budget& disk);  // makes the folder

  // A boundary with every stored byte verified; nullopt with the reason ("act/1a2b.sba: is missing").
  std::optional<BoundaryReader> get(const Fingerprint& fingerprint, const BoundaryShape& shape, int threads,
                                    std::string& why_not);

  // Error{budget} when the disk budget does not hold the worst case.
  std::unique_ptr<PendingBoundary> put(const Fingerprint& fingerprint, const BoundaryShape& shape, FrameCodec wanted);

  void drop(const Fingerprint& fingerprint);  // fine when there is none

  // Removes all boundaries that are none of `keep`, and what killed writers left of some. Other files are left alone.
  // Files that stay are charged to the disk budget. Call it before the first put. Returns the names that were removed.
  std::vector<std::string> sweep_leftovers(std::span<const Fingerprint> keep);

  std::string path_of(const Fingerprint& fingerprint) const;

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
