#include "cache/store.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace strata {
namespace {

constexpr std::string_view suffix = ".sba";
constexpr std::string_view holder = "boundaries";

}  // namespace

PendingBoundary::PendingBoundary(Store& store, std::string hash, const BoundaryShape& shape, FrameCodec wanted,
                                 Lease lease)
    : store_(store),
      hash_(std::move(hash)),
      lease_(std::move(lease)),
      writer_(store.path_of_hash(hash_), shape, hash_, wanted) {}

void PendingBoundary::publish() {
  const std::uint64_t bytes = writer_.finish();
  sync_directory(store_.folder_);
  lease_.shrink(bytes);
  store_.adopt(hash_, std::move(lease_));
}

Store::Store(std::string folder, Budget& disk) : folder_(std::move(folder)), disk_(disk) { make_directory(folder_); }

std::string Store::path_of_hash(const std::string& hash) const {
  return join_path(folder_, hash + std::string(suffix));
}
std::string Store::path_of(const Fingerprint& fingerprint) const { return path_of_hash(fingerprint.hash()); }

std::optional<BoundaryReader> Store::get(const Fingerprint& fingerprint, const BoundaryShape& shape, int threads,
                                         std::string& why_not) {
  const std::string hash = fingerprint.hash(), path = path_of_hash(hash);
  std::string reason;
  std::optional<BoundaryReader> reader = BoundaryReader::open(path, shape, hash, reason);
  if (reader && !reader->verify(threads, reason)) reader.reset();
  if (!reader) {
    why_not = fmt::format("{}: {}", path, reason);
    return std::nullopt;
  }
  charge(hash, reader->bytes());
  return reader;
}

std::unique_ptr<PendingBoundary> Store::put(const Fingerprint& fingerprint, const BoundaryShape& shape,
                                            FrameCodec wanted) {
  if (!is_valid(shape))
    fail(Fault::bug, "cache: a boundary of [{}, {}, {}] cannot be stored", shape.samples, shape.tokens, shape.hidden);
  Lease lease = disk_.take(boundary_file_bound(shape), holder);
  return std::unique_ptr<PendingBoundary>(
      new PendingBoundary(*this, fingerprint.hash(), shape, wanted, std::move(lease)));
}

void Store::drop(const Fingerprint& fingerprint) {
  const std::string hash = fingerprint.hash();
  remove_tree(path_of_hash(hash));
  forget(hash);
}

std::vector<std::string> Store::sweep_leftovers(std::span<const Fingerprint> keep) {
  std::vector<std::string> hashes, removed;
  for (const Fingerprint& fingerprint : keep) hashes.push_back(fingerprint.hash());
  std::vector<std::pair<std::string, std::uint64_t>> kept;
  for (const DirectoryEntry& entry : list_directory(folder_)) {
    const auto named = [&](const std::string& hash) { return entry.name == hash + std::string(suffix); };
    const auto wanted = std::ranges::find_if(hashes, named);
    if (wanted != hashes.end()) {
      kept.emplace_back(*wanted, entry.bytes);
      continue;
    }
    if (entry.is_directory || entry.is_link) continue;
    if (entry.name != "disk.probe" && !entry.name.ends_with(suffix) &&
        entry.name.find(std::string(suffix) + ".") == std::string::npos)
      continue;
    remove_tree(join_path(folder_, entry.name));
    removed.push_back(entry.name);
    if (entry.name.ends_with(suffix)) forget(entry.name.substr(0, entry.name.size() - suffix.size()));
  }
  for (const auto& [hash, bytes] : kept) charge(hash, bytes);
  return removed;
}

void Store::forget(const std::string& hash) {
  const MutexLock lock(mutex_);
  held_.erase(hash);
}

void Store::charge(const std::string& hash, std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  if (!held_.contains(hash)) held_.emplace(hash, disk_.take(bytes, holder));
}

void Store::adopt(const std::string& hash, Lease lease) {
  const MutexLock lock(mutex_);
  held_.insert_or_assign(hash, std::move(lease));
}

}  // namespace strata
