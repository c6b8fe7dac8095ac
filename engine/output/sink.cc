#include "engine/output/sink.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/reader.h"
#include "engine/output/output_folder.h"

namespace strata {
namespace {

std::vector<std::string> sidecar_names(const OutputPlan& plan) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : plan.sidecars) names.push_back(name);
  return names;
}

// Those of sub-folders too; the folders are durable when it returns, the outermost apart.
void copy_sidecars(const OutputPlan& plan, const std::string& from, const std::string& to) {
  std::set<std::string> folders;
  for (const auto& [name, bytes] : plan.sidecars) {
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1))
      if (folders.insert(join_path(to, name.substr(0, slash))).second)
        make_directory(join_path(to, name.substr(0, slash)));
    copy_file(join_path(from, name), join_path(to, name));
  }
  for (const std::string& folder : folders) sync_directory(folder);
}

}  // namespace

// The folder for this process alone, or for several; then the caller makes it while nobody else does.
static SharedFolder claim(const OutputPlan& plan, const std::string& output, const SinkOptions& options) {
  const std::vector<std::string> planned = sidecar_names(plan);
  const std::string folder = partial_folder(output);
  if (options.shared)
    return share_partial_folder(folder, planned, partial_matches(plan, output, {.run_id = options.run_id}));
  return {.lock = claim_partial_folder(folder, planned, options.go_on), .joins = options.go_on};
}

// A piece and where it goes.
struct ShardSink::Placed {
  std::size_t shard = 0;
  std::uint64_t offset = 0;
  std::span<const std::byte> bytes;
};

ShardSink::ShardSink(const OutputPlan& plan, const std::string& output, Budget& memory, const SinkOptions& options)
    : plan_(plan),
      output_(output),
      folder_(partial_folder(output)),
      shared_(options.shared),
      claim_(claim(plan, output, options)),
      staging_(options.mode == WriteMode::direct ? memory.take(write_staging_bytes, "write buffers") : Lease()),
      gather_(memory, "write buffers") {
  OutputOptions how{.open = claim_.joins ? OpenMode::keep : OpenMode::fresh, .write = options.mode};
  if (options.mode == WriteMode::direct) how.staging = make_write_staging();
  try {
    const std::string id = join_path(folder_, run_id_file);
    // Publishing removes it, and may have been cut short. Who shares the folder takes it for whole once it is there.
    if (!options.shared && !exists(id)) write_text(id, options.run_id);
    for (const OutputShard& shard : plan.shards) {
      shards_.emplace_back(join_path(folder_, shard.file), shard.bytes, how);
      if (!claim_.joins) shards_.back().write_at(0, std::as_bytes(std::span(shard.header)));
    }
    if (!plan.index_json.empty()) write_index(join_path(folder_, "model.safetensors.index.json"));
    if (options.shared && !claim_.joins) {
      for (OutputFile& shard : shards_) shard.sync();  // the id says that headers are there
      write_text(id, options.run_id);
    }
    sync_directory(folder_);
    sync_directory(parent_directory(folder_));
    dirty_.assign(shards_.size(), 1);
    seen_.assign(plan.slots.size(), 0);
    gather_.grow(gather_bytes + direct_block);
  } catch (const Error&) {
    if (!claim_.joins) discard();
    throw;
  }
}

// Those who share the folder need not write it again, but look at what is there.
void ShardSink::write_index(const std::string& path) const {
  const bool there = shared_ && claim_.joins && is_regular_file(path) && !is_link(path) &&
                     file_size(path) == plan_.index_json.size() && read_text(path) == plan_.index_json;
  if (!there) write_text(path, plan_.index_json);
}

bool ShardSink::published() const {
  if (lock_.still_at(folder_)) return false;
  if (lock_.still_at(output_)) return true;
  fail(Fault::io, "{}: was removed or moved while this run wrote there; the same command writes it again", folder_);
}

void ShardSink::require_place(const OutputPlan& plan, const std::string& output, bool shared) {
  require_partial_folder(partial_folder(output), sidecar_names(plan),
                         shared ? FileLock::Kind::shared : FileLock::Kind::exclusive);
}

void ShardSink::discard() {
  shards_.clear();
  try {
    remove_tree(folder_);
  } catch (const Error&) {
    // Already unwinding from the error that matters; the folder's name says that it is partial.
  }
}

void ShardSink::count(const OutputPiece& piece) {
  if (piece.slot >= seen_.size()) fail(Fault::bug, "slot {} is written, but {} are planned", piece.slot, seen_.size());
  const OutputSlot& slot = plan_.slots[piece.slot];
  const std::string_view name = plan_.slots.name(piece.slot);
  std::uint64_t& seen = seen_[piece.slot];
  if (seen + piece.bytes.size() > slot.bytes || (piece.skip == 0 && seen > 0) ||
      piece.skip + piece.bytes.size() > slot.bytes)
    fail(Fault::bug, "{}: {} bytes at {} are written beside {} others, but {} are planned", name, piece.bytes.size(),
         piece.skip, seen, slot.bytes);
  if (seen > 0 && piece.skip != seen)
    fail(Fault::bug, "{}: bytes at {} are written after {}: pieces come in order", name, piece.skip, seen);
  seen += piece.bytes.size();
  Hasher& hasher = open_[piece.slot];
  if (piece.skip == 0) hasher.add(name);
  hasher.add(piece.bytes);
  if (seen != slot.bytes) return;
  hash_ += hasher.number();
  open_.erase(piece.slot);
}

void ShardSink::write(std::span<const OutputPiece> pieces) {
  std::vector<Placed> placed;
  for (const OutputPiece& piece : pieces) {
    count(piece);
    const OutputSlot& slot = plan_.slots[piece.slot];
    placed.push_back({slot.shard, slot.offset + piece.skip, piece.bytes});
  }
  std::ranges::sort(placed, {}, [](const Placed& p) { return std::tuple(p.shard, p.offset); });
  for (std::size_t first = 0, end = 0; first < placed.size(); first = end) {
    end = first + 1;
    while (end < placed.size() && placed[end].shard == placed[first].shard &&
           placed[end].offset == placed[end - 1].offset + placed[end - 1].bytes.size())
      ++end;
    write_together(shards_[placed[first].shard], std::span(placed).subspan(first, end - first));
    dirty_[placed[first].shard] = 1;
  }
}

// Gathers pieces that follow each other where they are congruent to their place in the file, so that the file writes
// whole blocks from there.
void ShardSink::write_together(OutputFile& shard, std::span<const Placed> pieces) {
  if (pieces.size() == 1) return shard.write_at(pieces[0].offset, pieces[0].bytes);
  std::uint64_t begin = pieces.front().offset, end = begin;
  const auto flush = [&] {
    shard.write_at(begin, std::span(gather_.data() + begin % direct_block, end - begin));
    begin = end;
  };
  for (const Placed& piece : pieces) {
    std::span<const std::byte> rest = piece.bytes;
    while (!rest.empty()) {
      // Room up to the last whole block that the buffer holds.
      const std::uint64_t limit = begin / direct_block * direct_block + gather_bytes;
      const auto part = rest.first(std::min<std::uint64_t>(rest.size(), limit - end));
      std::memcpy(gather_.data() + begin % direct_block + (end - begin), part.data(), part.size());
      end += part.size();
      rest = rest.subspan(part.size());
      if (end == limit) flush();
    }
  }
  if (end > begin) flush();
}

void ShardSink::was_written(const VisitSlots& visit) {
  for (std::size_t i = visit.first; i < visit.first + visit.count; ++i) seen_[i] = plan_.slots[i].bytes;
}

void ShardSink::sync_data() {
  for (std::size_t i = 0; i < shards_.size(); ++i)
    if (std::exchange(dirty_[i], 0) != 0) shards_[i].sync_data();
}

void ShardSink::complete(const Checkpoint& source) {
  for (std::size_t i = 0; i < seen_.size(); ++i)
    if (seen_[i] != plan_.slots[i].bytes)
      fail(Fault::bug, "{}: was planned but not all of it was written", plan_.slots.name(i));
  for (OutputFile& shard : shards_) shard.sync();
  shards_.clear();
  copy_sidecars(plan_, source.directory(), folder_);
  write_text(join_path(folder_, "config.json"), plan_.config_json);
  sync_directory(folder_);
}

void ShardSink::publish(bool replace) {
  // From here on the journal's note of this very folder stands for the id; to others that share it, only the id does.
  if (!shared_) remove_tree(join_path(folder_, run_id_file));
  sync_directory(folder_);

  if (replace && exists(output_)) {
    exchange_paths(folder_, output_);
    sync_directory(parent_directory(output_));  // before the old output goes: a loss of power must leave one of them
    remove_tree(folder_);                       // now the old output
  } else {
    rename_path(folder_, output_);
  }
  sync_directory(parent_directory(output_));
  if (shared_) remove_tree(join_path(output_, run_id_file));
}

std::uint64_t output_hash(const OutputPlan& plan, const std::string& output, const VisitSlots& visit) {
  std::vector<InputFile> shards;
  for (const OutputShard& shard : plan.shards) shards.emplace_back(join_path(partial_folder(output), shard.file));
  std::vector<std::byte> block(ShardSink::gather_bytes);
  std::uint64_t sum = 0;
  for (std::size_t i = visit.first; i < visit.first + visit.count; ++i) {
    const OutputSlot& slot = plan.slots[i];
    const InputFile& file = shards[slot.shard];
    Hasher hasher;
    hasher.add(plan.slots.name(i));
    for (std::uint64_t at = 0; at < slot.bytes; at += block.size()) {
      const std::span<std::byte> part = std::span(block).first(std::min<std::uint64_t>(block.size(), slot.bytes - at));
      file.read_at(slot.offset + at, part);
      hasher.add(part);
    }
    file.drop(slot.offset, slot.bytes);
    sum += hasher.number();
  }
  return sum;
}

bool partial_matches(const OutputPlan& plan, const std::string& output, const PartialOwner& owner) {
  const std::string folder = partial_folder(output), id = join_path(folder, run_id_file);
  if (!is_directory(folder) || is_link(folder)) return false;
  if (exists(id) ? read_text(id) != owner.run_id : owner.published != identity_of(folder)) return false;
  return std::ranges::all_of(plan.shards, [&](const OutputShard& shard) {
    const std::string path = join_path(folder, shard.file);
    if (!is_regular_file(path) || is_link(path) || file_size(path) != shard.bytes) return false;
    std::string header(shard.header.size(), '\0');
    InputFile(path).read_at(0, std::as_writable_bytes(std::span(header)));
    return header == shard.header;
  });
}

}  // namespace strata
