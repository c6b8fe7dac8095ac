#include "engine/output/output_folder.h"

#include <algorithm>

#include "base/error.h"
#include "formats/checkpoint/side_files.h"

namespace strata {

namespace {

// What --force may replace: a folder of files, some of them weights, and of the sub-folders that an output carries
// along. Anything else is not an output of ours.
bool is_checkpoint_folder(const std::string& folder) {
  const ModelFolder entries(folder);
  const std::vector<std::string> carried = side_folders(entries);
  bool weights = false;
  for (const DirectoryEntry& entry : entries.entries()) {
    const bool sub_folder =
        entry.is_directory && !entry.is_link && std::ranges::find(carried, entry.name) != carried.end();
    if (!entry.is_regular && !sub_folder) return false;
    weights |= entry.name.ends_with(".safetensors");
  }
  return weights && entries.has("config.json");
}

}  // namespace

void require_output_free(const std::string& output, const std::string& model, bool force) {
  if (output.empty()) fail(Fault::usage, "-o OUT: is missing");
  require_writable(parent_directory(output));
  if (lies_in(model, partial_folder(output)))
    fail(Fault::usage, "{}: lies in {}, where the run would work; choose another output", model,
         partial_folder(output));
  if (!exists(output) && lies_in(output, model))
    fail(Fault::usage, "{}: lies in the source {}; choose another output", output, model);
  if (is_mount_point(output))
    fail(Fault::usage, "{}: is a mount point and cannot appear at once; name a folder in it", output);
  if (is_link(output)) fail(Fault::usage, "{}: is a link; name the folder itself", output);
  if (force && exists(set_aside(output)))
    fail(Fault::usage, "{}: the output that an interrupted --force was about to replace; move or remove it",
         set_aside(output));
  if (!exists(output)) return;
  if (lies_in(model, output)) fail(Fault::usage, "{}: is or holds the source {}; choose another output", output, model);
  if (!force) fail(Fault::usage, "{}: exists already; choose another output or replace it with --force", output);
  if (!is_directory(output)) fail(Fault::usage, "{}: is a file; choose another output", output);
  if (!list_directory(output).empty() && !is_checkpoint_folder(output))
    fail(Fault::usage, "{}: holds something that is not a checkpoint; remove it yourself or choose another output",
         output);
}

std::string partial_folder(const std::string& output) {
  std::string name = output;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name + ".partial";
}

// The first entry of the partial folder `folder`, or of its sub-folder `below` ("" or "name/"), that no run leaves
// there; empty when all are shards, index, config and copies of the source's other files.
static std::string foreign_entry(const std::string& folder, const std::string& below,
                                 std::span<const std::string> planned) {
  for (const DirectoryEntry& entry : list_directory(join_path(folder, below))) {
    std::string name = below + entry.name;
    if (entry.is_directory && !entry.is_link) {
      const auto inside = [&](const std::string& path) { return path.starts_with(name + "/"); };
      if (std::ranges::none_of(planned, inside)) return name;
      if (std::string foreign = foreign_entry(folder, name + "/", planned); !foreign.empty()) return foreign;
      continue;
    }
    std::string final_name = name;
    if (final_name.ends_with(".tmp")) final_name.resize(final_name.size() - 4);
    const bool shard = below.empty() && name.starts_with("model") && name.find(".safetensors") != std::string::npos;
    const bool own = below.empty() && (final_name == "config.json" || final_name == run_id_file);
    const bool known = shard || own || std::ranges::find(planned, final_name) != planned.end();
    if (!known || !entry.is_regular || entry.is_link) return name;
  }
  return {};
}

static void require_folder(const std::string& folder) {
  if (is_link(folder) || (exists(folder) && !is_directory(folder)))
    fail(Fault::usage, "{}: is not a folder, but the run works in a folder of that name; remove it", folder);
}

static void require_ours(const std::string& folder, std::span<const std::string> planned) {
  if (const std::string foreign = foreign_entry(folder, "", planned); !foreign.empty())
    fail(Fault::usage, "{}: holds {}, which no run of ours left; remove the folder yourself or choose another output",
         folder, foreign);
}

void require_partial_folder(const std::string& folder, std::span<const std::string> planned, FileLock::Kind kind) {
  require_folder(folder);
  if (!exists(folder)) return;
  const FileLock lock = FileLock::of_folder(folder, kind);
  require_ours(folder, planned);
}

// Another run may remove the folder between making, opening and locking it: then it is made again.
static FileLock make_and_lock(const std::string& folder, FileLock::Kind kind) {
  while (true) {
    make_directory(folder);
    try {
      FileLock lock = FileLock::of_folder(folder, kind);
      if (lock.still_at(folder)) return lock;
    } catch (const Error& error) {
      if (error.fault != Fault::io || exists(folder)) throw;
    }
  }
}

FileLock claim_partial_folder(const std::string& folder, std::span<const std::string> planned, bool go_on) {
  require_folder(folder);
  FileLock lock = make_and_lock(folder, FileLock::Kind::exclusive);
  require_ours(folder, planned);
  if (!go_on)
    for (const DirectoryEntry& entry : list_directory(folder)) remove_tree(join_path(folder, entry.name));
  return lock;
}

SharedFolder share_partial_folder(const std::string& folder, std::span<const std::string> planned, bool joins) {
  require_folder(folder);
  if (!joins) {
    const FileLock alone =
        make_and_lock(folder, FileLock::Kind::exclusive);  // Error{busy} where another run works in it
    require_ours(folder, planned);
    for (const DirectoryEntry& entry : list_directory(folder)) remove_tree(join_path(folder, entry.name));
  }
  return {.lock = make_and_lock(folder, FileLock::Kind::shared), .joins = joins};
}

std::string setup_file(const std::string& output) { return partial_folder(output) + ".setup"; }

bool is_setup_file(const std::string& path) { return is_regular_file(path) && !is_link(path) && file_size(path) == 0; }

std::uint64_t stale_partial_bytes(const std::string& output) { return folder_bytes(partial_folder(output)); }

}  // namespace strata
