#include "formats/checkpoint_files.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace strata {
namespace {

constexpr std::string_view single_file = "model.safetensors";
constexpr std::string_view index_file = "model.safetensors.index.json";

bool ends_with_any(std::string_view name, std::span<const std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

// "Qwen/Qwen3-0.6B": one slash between two plain words, and no such folder to mistake it for a path.
bool looks_like_hub_id(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) return false;
  const auto word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return std::ranges::all_of(text.substr(0, slash), word) && std::ranges::all_of(text.substr(slash + 1), word) &&
         text.front() != '.' && !exists(std::string(text.substr(0, slash)));
}

void require_folder(const std::string& directory) {
  if (is_directory(directory)) return;
  if (exists(directory))
    fail(Fault::input, "{}: is a file; give the folder that holds config.json and the safetensors files", directory);
  if (looks_like_hub_id(directory))
    fail(Fault::input,
         "{}: no such folder; it looks like a hub id: run `hf download {} --local-dir {}` and give that folder",
         directory, directory, base_name(directory));
  fail(Fault::input, "{}: no such folder", directory);
}

// One folder and where its links may lead: into itself and, in the hub's cache
// (models--org--name/snapshots/REVISION), into the blobs/ beside snapshots/.
class Folder {
 public:
  explicit Folder(std::string directory) : directory_(std::move(directory)) {
    require_folder(directory_);
    entries_ = list_directory(directory_);
    real_ = real_path(directory_);
    const std::string parent = parent_directory(real_);
    if (base_name(parent) == "snapshots") blobs_ = join_path(parent_directory(parent), "blobs");
  }

  const std::string& directory() const { return directory_; }
  std::span<const DirectoryEntry> entries() const { return entries_; }
  std::string path(std::string_view name) const { return join_path(directory_, name); }

  const DirectoryEntry* find(std::string_view name) const {
    const auto found = std::ranges::find(entries_, name, &DirectoryEntry::name);
    return found == entries_.end() ? nullptr : &*found;
  }
  bool has(std::string_view name) const { return find(name) != nullptr; }

  // Names of files of the model in the Hugging Face layout: the consolidated twins of Mistral's own
  // repositories hold the same weights under other names.
  std::vector<std::string> names_ending(std::string_view ending) const {
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : entries_)
      if (entry.name.ends_with(ending) && !entry.name.starts_with("consolidated") && !entry.name.starts_with('.'))
        names.push_back(entry.name);
    return names;
  }

  void check_link(const DirectoryEntry& entry) const {
    if (!entry.is_link) return;
    const std::string target = real_path(path(entry.name));
    if (target.empty())
      fail(Fault::input, "{}: is a link to nothing; its download is not finished: run it again", path(entry.name));
    const auto inside = [&](const std::string& folder) { return !folder.empty() && target.starts_with(folder + "/"); };
    if (!inside(real_) && !inside(blobs_))
      fail(Fault::input,
           "{}: is a link that leaves the folder, to {}; copy the file here or give the folder of the originals",
           path(entry.name), target);
  }

  // Why a shard may be missing: what an unfinished download leaves behind.
  std::string unfinished_download() const {
    static constexpr auto endings = std::to_array<std::string_view>({".incomplete", ".part", ".aria2", ".crdownload"});
    for (const std::string& place : {directory_, path(".cache/huggingface/download"), blobs_}) {
      if (place.empty() || !is_directory(place)) continue;
      for (const DirectoryEntry& entry : list_directory(place))
        if (ends_with_any(entry.name, endings))
          return fmt::format("; {} is an unfinished download: run it again", join_path(place, entry.name));
    }
    return {};
  }

 private:
  std::string directory_;
  std::string real_, blobs_;
  std::vector<DirectoryEntry> entries_;
};

// The folder has no safetensors file that could be the model: say what it is instead.
[[noreturn]] void fail_without_weights(const Folder& folder) {
  const std::string& directory = folder.directory();
  if (const std::string unfinished = folder.unfinished_download(); !unfinished.empty())
    fail(Fault::input, "{}: holds no safetensors file{}", directory, unfinished);
  if (const auto bins = folder.names_ending(".bin"); !bins.empty())
    fail(Fault::input,
         "{}: holds PyTorch weights only ({}); Strata reads safetensors: look for a revision that has them or save the "
         "model again with transformers' save_pretrained",
         directory, bins.front());
  if (const auto files = folder.names_ending(".gguf"); !files.empty())
    fail(Fault::input, "{}: holds GGUF only ({}); Strata reads the original safetensors checkpoint", directory,
         files.front());
  for (const DirectoryEntry& entry : folder.entries())
    if (entry.name.starts_with("consolidated"))
      fail(Fault::input,
           "{}: holds only Mistral's own layout ({}); Strata reads the Hugging Face one: model*.safetensors", directory,
           entry.name);
  fail(Fault::input, "{}: holds no safetensors file", directory);
}

void require_config(const Folder& folder) {
  const DirectoryEntry* const config = folder.find("config.json");
  if (config != nullptr) {
    folder.check_link(*config);
    return;
  }
  if (folder.has("snapshots"))
    fail(Fault::input, "{}: is a folder of the hub's cache; give one of the folders under {}", folder.directory(),
         folder.path("snapshots"));
  if (folder.has("adapter_config.json"))
    fail(Fault::input, "{}: is an adapter, not a model; merge it into its base model first", folder.directory());
  fail(Fault::input, "{}: is not a checkpoint: it has no config.json", folder.directory());
}

std::vector<std::string> indexed_shards(const Folder& folder, const WeightMap& shard_of) {
  std::vector<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.push_back(shard);
  std::ranges::sort(shards);
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());

  const auto is_missing = [&](const std::string& shard) { return !folder.has(shard); };
  if (const auto missing = std::ranges::find_if(shards, is_missing); missing != shards.end())
    fail(Fault::input, "{}: is missing: the index names {} shards, {} of them are not there{}", folder.path(*missing),
         shards.size(), std::ranges::count_if(shards, is_missing), folder.unfinished_download());

  // Files of other names (an adapter, token ids) are nobody's weights, as for transformers.
  for (const std::string& name : folder.names_ending(".safetensors"))
    if (name.starts_with("model") && !std::ranges::binary_search(shards, name))
      fail(Fault::input, "{}: is not named by {}, which names {} other shards; two checkpoints are mixed: remove one",
           folder.path(name), index_file, shards.size());
  return shards;
}

std::vector<std::string> shards_without_index(const Folder& folder) {
  std::vector<std::string> shards = folder.names_ending(".safetensors");
  std::erase_if(shards, [](const std::string& name) { return !name.starts_with("model"); });
  if (shards.empty()) fail_without_weights(folder);
  if (shards.size() == 1 && (shards[0] == single_file || shards[0] == "model-00001-of-00001.safetensors"))
    return shards;
  if (folder.has(single_file))
    fail(Fault::input, "{}: stands beside {} other shards ({}) without an index; two checkpoints are mixed: remove one",
         folder.path(single_file), shards.size() - 1, shards[shards[0] == single_file ? 1 : 0]);
  fail(Fault::input, "{}: {} is missing, but there are shards ({} of them, the first is {}); download it too",
       folder.directory(), index_file, shards.size(), shards[0]);
}

// Everything but weights, their indexes and what we write ourselves.
std::vector<std::string> find_sidecars(const Folder& folder) {
  static constexpr auto left_out = std::to_array<std::string_view>(
      {".safetensors", ".index.json", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".msgpack", ".h5", ".ot", ".onnx",
       ".onnx_data", ".incomplete", ".part", ".aria2", ".crdownload", ".partial", ".tmp"});
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : folder.entries()) {
    if (entry.name.starts_with('.') || entry.name == "config.json" || entry.is_directory) continue;
    if (entry.name.starts_with("consolidated") || entry.name == "params.json") continue;
    if (entry.name == "hf_quant_config.json") continue;  // says how ModelOpt quantized the source
    if (ends_with_any(entry.name, left_out)) continue;
    folder.check_link(entry);
    if (entry.is_regular) names.push_back(entry.name);
  }
  return names;
}

}  // namespace

CheckpointFiles find_checkpoint_files(const std::string& directory) {
  const Folder folder(directory);
  require_config(folder);
  CheckpointFiles files;
  files.config = folder.path("config.json");
  if (const DirectoryEntry* const index = folder.find(index_file)) {
    folder.check_link(*index);
    files.index = folder.path(index_file);
    files.shard_of = read_checkpoint_index(files.index);
    files.shards = indexed_shards(folder, files.shard_of);
  } else {
    files.shards = shards_without_index(folder);
  }
  for (const std::string& shard : files.shards) folder.check_link(*folder.find(shard));
  files.sidecars = find_sidecars(folder);
  return files;
}

}  // namespace strata
