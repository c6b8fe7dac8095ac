// The entries of a model folder, and where its links may lead.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace strata {

// Listed once. Links may lead into the folder itself and, in the hub's cache (models--org--name/snapshots/REVISION),
// into the blobs/ beside snapshots/. Thread-safe to read.
class ModelFolder {
 public:
  // Error{input} that says what to give instead when it is no folder.
  explicit ModelFolder(std::string directory);

  const std::string& directory() const { return directory_; }
  std::span<const DirectoryEntry> entries() const { return entries_; }  // sorted by name
  std::string path(std::string_view name) const { return join_path(directory_, name); }
  const DirectoryEntry* find(std::string_view name) const;  // nullptr when there is none
  bool has(std::string_view name) const { return find(name) != nullptr; }

  // Names of files of the model in the Hugging Face layout: the consolidated twins of Mistral's own
  // repositories hold the same weights under other names.
  std::vector<std::string> names_ending(std::string_view ending) const;

  // Error{input} when `entry`, which stands at `path`, is a link that leads nowhere or elsewhere.
  void check_link(const DirectoryEntry& entry, const std::string& path) const;
  void check_link(const DirectoryEntry& entry) const { check_link(entry, path(entry.name)); }

  // Why a shard may be missing: "; PATH is an unfinished download: run it again", or nothing.
  std::string unfinished_download() const;

 private:
  std::string directory_;
  std::string real_, blobs_;
  std::vector<DirectoryEntry> entries_;
};

// Whether the name is what an unfinished download or run leaves behind.
bool is_unfinished(std::string_view name);

}  // namespace strata
