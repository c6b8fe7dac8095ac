#include "cache/kept.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace strata {
namespace {

constexpr std::string_view suffix = ".sba", fact_suffix = ".fact";
constexpr std::string_view holder = "boundaries";
constexpr std::string_view fact_magic = "strata fact 1\n";  // then the hash of the bytes, a line feed, the bytes

std::string fact_head(std::string_view bytes) {
  return fmt::format("{}{:016x}\n", fact_magic, hash64(std::as_bytes(std::span(bytes))));
}

// "1a2b" of "1a2b.sba" and "1a2b.fact"; empty for other names.
std::string_view hash_in(std::string_view name) {
  for (const std::string_view end : {suffix, fact_suffix})
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  return {};
}

// Of ours, or of a writer that was killed.
bool is_ours(std::string_view name) {
  if (name == "disk.probe" || !hash_in(name).empty()) return true;
  return name.find(".sba.") != name.npos || name.find(".fact.") != name.npos;
}

}  // namespace

PendingBoundary::PendingBoundary(Kept& kept, std::string hash, const BoundaryShape& shape, FrameCodec wanted,
                                 Lease lease)
    : kept_(kept),
      hash_(std::move(hash)),
      lease_(std::move(lease)),
      writer_(kept.path_of_hash(hash_), shape, hash_, wanted) {}

void PendingBoundary::publish() {
  const std::uint64_t bytes = writer_.finish();
  sync_directory(kept_.folder_);
  lease_.shrink(bytes);
  kept_.adopt(hash_, std::move(lease_));
}

Kept::Kept(std::string folder, Budget& disk) : folder_(std::move(folder)), disk_(disk) { make_directory(folder_); }

std::string Kept::path_of_hash(const std::string& hash) const { return join_path(folder_, hash + std::string(suffix)); }
std::string Kept::path_of(const Fingerprint& fingerprint) const { return path_of_hash(fingerprint.hash()); }

std::optional<BoundaryReader> Kept::get(const Fingerprint& fingerprint, const BoundaryShape& shape, int threads,
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

std::unique_ptr<PendingBoundary> Kept::put(const Fingerprint& fingerprint, const BoundaryShape& shape,
                                           FrameCodec wanted) {
  if (!is_valid(shape))
    fail(Fault::bug, "cache: a boundary of [{}, {}, {}] cannot be stored", shape.samples, shape.tokens, shape.hidden);
  Lease lease = disk_.take(boundary_file_bound(shape), holder);
  return std::unique_ptr<PendingBoundary>(
      new PendingBoundary(*this, fingerprint.hash(), shape, wanted, std::move(lease)));
}

std::string Kept::fact_path_of(const Fingerprint& fingerprint) const {
  return join_path(folder_, fingerprint.hash() + std::string(fact_suffix));
}

void Kept::put_fact(const Fingerprint& fingerprint, std::string_view bytes) {
  const std::string head = fact_head(bytes);
  Lease lease = disk_.take(head.size() + bytes.size(), holder);
  write_text(fact_path_of(fingerprint), head + std::string(bytes));
  sync_directory(folder_);
  adopt(fingerprint.hash(), std::move(lease));
}

std::optional<std::string> Kept::get_fact(const Fingerprint& fingerprint, std::string& why_not) {
  const std::string path = fact_path_of(fingerprint);
  const auto refuse = [&](std::string_view reason) {
    why_not = fmt::format("{}: {}", path, reason);
    return std::nullopt;
  };
  if (!exists(path)) return refuse("is missing");
  std::string text = read_text(path);
  const std::size_t head = fact_head("").size();
  if (text.size() < head || !text.starts_with(fact_magic)) return refuse("is not a fact of this version");
  if (fact_head(std::string_view(text).substr(head)) != text.substr(0, head))
    return refuse("its bytes are not those that were written");
  charge(fingerprint.hash(), text.size());
  return text.substr(head);
}

void Kept::drop(const Fingerprint& fingerprint) {
  const std::string hash = fingerprint.hash();
  remove_tree(path_of_hash(hash));
  remove_tree(fact_path_of(fingerprint));
  forget(hash);
}

std::vector<std::string> Kept::sweep_leftovers(std::span<const Fingerprint> keep) {
  std::vector<std::string> hashes, removed;
  for (const Fingerprint& fingerprint : keep) hashes.push_back(fingerprint.hash());
  std::vector<std::pair<std::string, std::uint64_t>> kept;
  for (const DirectoryEntry& entry : list_directory(folder_)) {
    const std::string hash(hash_in(entry.name));
    if (!hash.empty() && std::ranges::find(hashes, hash) != hashes.end()) {
      kept.emplace_back(hash, entry.bytes);
      continue;
    }
    if (entry.is_directory || entry.is_link || !is_ours(entry.name)) continue;
    remove_tree(join_path(folder_, entry.name));
    removed.push_back(entry.name);
    if (!hash.empty()) forget(hash);
  }
  for (const auto& [hash, bytes] : kept) charge(hash, bytes);
  return removed;
}

void Kept::forget(const std::string& hash) {
  const MutexLock lock(mutex_);
  held_.erase(hash);
}

void Kept::charge(const std::string& hash, std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  if (!held_.contains(hash)) held_.emplace(hash, disk_.take(bytes, holder));
}

void Kept::adopt(const std::string& hash, Lease lease) {
  const MutexLock lock(mutex_);
  held_.insert_or_assign(hash, std::move(lease));
}

}  // namespace strata
