#include "formats/checkpoint/model_folder.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace strata {
namespace {

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

bool is_unfinished_download(std::string_view name) {
  static constexpr auto endings = std::to_array<std::string_view>({".incomplete", ".part", ".aria2", ".crdownload"});
  return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace

bool is_unfinished(std::string_view name) {
  return is_unfinished_download(name) || name.ends_with(".partial") || name.ends_with(".tmp");
}

ModelFolder::ModelFolder(std::string directory) : directory_(std::move(directory)) {
  require_folder(directory_);
  entries_ = list_directory(directory_);
  real_ = real_path(directory_);
  const std::string parent = parent_directory(real_);
  if (base_name(parent) == "snapshots") blobs_ = join_path(parent_directory(parent), "blobs");
}

const DirectoryEntry* ModelFolder::find(std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &DirectoryEntry::name);
  return found == entries_.end() ? nullptr : &*found;
}

std::vector<std::string> ModelFolder::names_ending(std::string_view ending) const {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries_)
    if (entry.name.ends_with(ending) && !entry.name.starts_with("consolidated") && !entry.name.starts_with('.'))
      names.push_back(entry.name);
  return names;
}

void ModelFolder::check_link(const DirectoryEntry& entry, const std::string& path) const {
  if (!entry.is_link) return;
  const std::string target = real_path(path);
  if (target.empty()) fail(Fault::input, "{}: is a link to nothing; its download is not finished: run it again", path);
  const auto inside = [&](const std::string& folder) { return !folder.empty() && target.starts_with(folder + "/"); };
  if (!inside(real_) && !inside(blobs_))
    fail(Fault::input,
         "{}: is a link that leaves the folder, to {}; copy the file here or give the folder of the originals", path,
         target);
}

std::string ModelFolder::unfinished_download() const {
  for (const std::string& place : {directory_, path(".cache/huggingface/download"), blobs_}) {
    if (place.empty() || !is_directory(place)) continue;
    for (const DirectoryEntry& entry : list_directory(place))
      if (is_unfinished_download(entry.name))
        return fmt::format("; {} is an unfinished download: run it again", join_path(place, entry.name));
  }
  return {};
}

}  // namespace strata
