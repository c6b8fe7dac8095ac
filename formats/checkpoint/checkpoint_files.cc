#include "formats/checkpoint/checkpoint_files.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint/model_folder.h"
#include "formats/checkpoint/side_files.h"

namespace strata {
namespace {

constexpr std::string_view single_file = "model.safetensors";
constexpr std::string_view index_file = "model.safetensors.index.json";

// The folder has no safetensors file that could be the model: say what it is instead.
[[noreturn]] void fail_without_weights(const ModelFolder& folder) {
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
  if (const auto files = folder.names_ending(".safetensors"); !files.empty())
    fail(Fault::input, "{}: holds no model.safetensors; if {} is the model, give it that name, which loaders look for",
         directory, files.front());
  fail(Fault::input, "{}: holds no safetensors file", directory);
}

void require_config(const ModelFolder& folder) {
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

std::vector<std::string> indexed_shards(const ModelFolder& folder, const WeightMap& shard_of) {
  std::vector<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.push_back(shard);
  std::ranges::sort(shards);
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());

  const auto is_missing = [&](const std::string& shard) { return !folder.has(shard); };
  if (folder.has(single_file) && std::ranges::all_of(shards, is_missing))
    fail(Fault::input,
         "{}: names {} shards and none of them is there, but {} is; remove the index if that is the whole model",
         folder.path(index_file), shards.size(), single_file);
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

std::vector<std::string> shards_without_index(const ModelFolder& folder) {
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

}  // namespace

CheckpointFiles find_checkpoint_files(const std::string& directory) {
  const ModelFolder folder(directory);
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
  files.sidecars = list_side_files(folder).copied;
  return files;
}

}  // namespace strata
