#include "formats/checkpoint/checkpoint.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/checkpoint/checkpoint_files.h"
#include "formats/checkpoint/safetensors.h"

namespace strata {
namespace {

// Headers are read, never mapped: a file that is cut while we parse a mapping of it would kill the process.
std::vector<TensorInfo> read_header(const InputFile& file) {
  std::array<std::byte, 128> start{};  // enough for the first line of a Git LFS pointer
  const std::span<std::byte> first = std::span(start).first(std::min<std::uint64_t>(start.size(), file.size()));
  file.read_at(0, first);
  const std::uint64_t bytes = safetensors_header_bytes(first, file.size(), file.path());
  std::string header(bytes, '\0');
  file.read_at(8, std::as_writable_bytes(std::span(header)));
  return parse_safetensors(std::span(start).first<8>(), header, file.size(), file.path());
}

void check_no_duplicates(std::span<const TensorInfo> sorted, std::span<const InputFile> files) {
  const auto twice = std::ranges::adjacent_find(sorted, {}, &TensorInfo::name);
  if (twice == sorted.end()) return;
  const auto path = [&](const TensorInfo& tensor) { return files[static_cast<std::size_t>(tensor.file)].path(); };
  fail(Fault::input, "{}: tensor {} stands also in {}", path(twice[1]), twice->name, base_name(path(*twice)));
}

// The index and the shards must tell the same story, both ways.
void check_index(const CheckpointFiles& found, std::span<const TensorInfo> sorted) {
  for (const TensorInfo& tensor : sorted) {
    const std::string& shard = found.shards[static_cast<std::size_t>(tensor.file)];
    const auto entry = found.shard_of.find(tensor.name);
    if (entry == found.shard_of.end())
      fail(Fault::input, "{}: does not name tensor {}, which stands in {}", found.index, tensor.name, shard);
    if (entry->second != shard)
      fail(Fault::input, "{}: tensor {} should stand in {}, but stands in {}", found.index, tensor.name, entry->second,
           shard);
  }
  if (found.shard_of.size() == sorted.size()) return;
  for (const auto& [name, shard] : found.shard_of)
    if (!std::ranges::binary_search(sorted, name, {}, &TensorInfo::name))
      fail(Fault::input, "{}: tensor {} should stand in {}, but no shard holds it ({} tensors are named, {} are there)",
           found.index, name, shard, found.shard_of.size(), sorted.size());
}

}  // namespace

Checkpoint::Checkpoint(std::string directory, std::string config_text, Config config)
    : directory_(std::move(directory)), config_text_(std::move(config_text)), config_(std::move(config)) {}

Checkpoint Checkpoint::open(const std::string& directory) {
  CheckpointFiles found = find_checkpoint_files(directory);
  Config config = Config::load(found.config);
  Checkpoint checkpoint(directory, read_text(found.config), std::move(config));
  checkpoint.has_index_ = !found.index.empty();
  std::vector<TensorInfo>& tensors = checkpoint.tensors_;
  for (const std::string& shard : found.shards) {
    checkpoint.files_.emplace_back(join_path(directory, shard));
    for (TensorInfo& tensor : read_header(checkpoint.files_.back())) {
      tensor.file = static_cast<int>(checkpoint.files_.size()) - 1;
      tensors.push_back(std::move(tensor));
    }
  }
  std::ranges::sort(tensors, {}, &TensorInfo::name);
  check_no_duplicates(tensors, checkpoint.files_);
  if (checkpoint.has_index_) check_index(found, tensors);
  tensors.shrink_to_fit();
  checkpoint.sidecars_ = std::move(found.sidecars);
  return checkpoint;
}

const TensorInfo* Checkpoint::find(std::string_view name) const& {
  const auto found = std::ranges::lower_bound(tensors_, name, {}, &TensorInfo::name);
  return found == tensors_.end() || found->name != name ? nullptr : &*found;
}

const TensorInfo& Checkpoint::at(std::string_view name) const& {
  const TensorInfo* const tensor = find(name);
  if (tensor == nullptr) fail(Fault::input, "{}: tensor {} is missing", directory_, name);
  return *tensor;
}

void Checkpoint::read(const TensorInfo& tensor, std::span<std::byte> out, std::uint64_t skip) const {
  if (skip > tensor.bytes || out.size() > tensor.bytes - skip)
    fail(Fault::bug, "{}: {} bytes at {} were asked, but it has {}", describe(tensor), out.size(), skip, tensor.bytes);
  files_.at(static_cast<std::size_t>(tensor.file)).read_at(tensor.offset + skip, out);
}

void Checkpoint::drop(const TensorInfo& tensor) const {
  files_.at(static_cast<std::size_t>(tensor.file)).drop(tensor.offset, tensor.bytes);
}

std::uint64_t Checkpoint::total_bytes() const {
  std::uint64_t bytes = 0;  // cannot overflow: all files together hold them
  for (const TensorInfo& tensor : tensors_) bytes += tensor.bytes;
  return bytes;
}

std::string Checkpoint::describe(const TensorInfo& tensor) const {
  return fmt::format("{}: tensor {}", base_name(files_.at(static_cast<std::size_t>(tensor.file)).path()), tensor.name);
}

}  // namespace strata
