#include "engine/work/work_clean.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

#include "base/file.h"
#include "engine/output/output_folder.h"
#include "engine/work/earlier_run.h"
#include "engine/work/work_status.h"

namespace strata {
namespace {

constexpr std::array records = {work_names::events,   work_names::assignment, work_names::costs, work_names::prices,
                                work_names::measured, work_names::pareto,     work_names::lock};
constexpr std::array folders = {work_names::boundaries, work_names::renders, work_names::scratch};
constexpr std::array<std::string_view, 2> progress = {work_names::journal, work_names::places};

// Without what a write that was cut short adds to a name.
std::string_view final_name(std::string_view name) {
  for (const std::string_view ending : {".tmp", ".partial"})
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  return name;
}

bool is_plain(const DirectoryEntry& entry) { return entry.is_regular && !entry.is_link; }

bool is_real_folder(const std::string& path) { return is_directory(path) && !is_link(path); }

bool is_boundary(const DirectoryEntry& entry) { return is_plain(entry) && is_kept_name(final_name(entry.name)); }

bool is_render(const DirectoryEntry& entry) { return is_plain(entry) && is_render_name(final_name(entry.name)); }

bool is_scratch(const DirectoryEntry& entry) { return is_plain(entry) && is_scratch_name(entry.name); }

bool is_progress(const DirectoryEntry& entry) {
  const bool cut = final_name(entry.name) != entry.name;
  const std::string_view name = final_name(entry.name);
  return is_plain(entry) && (std::ranges::find(progress, name) != progress.end() ||
                             (cut && std::ranges::find(records, name) != records.end()));
}

// A run writes shards, the index, config.json and copies of the source's other files. `below` is the sub-folder of the
// output that the entry stands in, "" or "name/".
bool is_output_file(const DirectoryEntry& entry, const std::string& below, const std::string& model) {
  const std::string_view name = final_name(entry.name);
  const bool shard = name.starts_with("model") && name.find(".safetensors") != std::string_view::npos;
  const bool own = below.empty() && (shard || name == "config.json" || name == run_id_file);
  return is_plain(entry) && !name.empty() &&
         (own || (!model.empty() && is_regular_file(join_path(model, below + std::string(name)))));
}

class Cleaner {
 public:
  explicit Cleaner(CleanReport& report) : report_(report) {}

  // Removes the files that are ours by name, and the folder when nothing is left in it.
  void clean_folder(const std::string& folder, const std::function<bool(const DirectoryEntry&)>& is_ours) {
    if (!is_real_folder(folder)) return;
    for (const DirectoryEntry& entry : list_directory(folder)) {
      const std::string path = join_path(folder, entry.name);
      if (is_ours(entry))
        remove(path, entry.bytes);
      else
        report_.unknown.push_back(path);
    }
    if (list_directory(folder).empty()) remove_tree(folder);
  }

  void remove(const std::string& path, std::uint64_t bytes) {
    remove_tree(path);
    report_.removed.emplace_back(path, bytes);
    report_.bytes += bytes;
  }

 private:
  CleanReport& report_;
};

// A sub-folder of the output is ours when the model has it too.
void clean_output_folder(Cleaner& cleaner, const std::string& partial, const std::string& below,
                         const std::string& model) {
  const std::string folder = below.empty() ? partial : join_path(partial, below.substr(0, below.size() - 1));
  for (const DirectoryEntry& entry : list_directory(folder)) {
    const std::string inner = below + entry.name;
    if (entry.is_directory && !entry.is_link && !model.empty() && is_directory(join_path(model, inner)))
      clean_output_folder(cleaner, partial, inner + "/", model);
  }
  cleaner.clean_folder(folder, [&](const DirectoryEntry& entry) { return is_output_file(entry, below, model); });
}

void clean_partial(Cleaner& cleaner, const std::string& partial, const std::string& model) {
  if (!is_real_folder(partial)) return;
  const FileLock lock =
      FileLock::of_folder(partial);  // another run, with another work directory, may be writing the same output
  clean_output_folder(cleaner, partial, "", model);
}

void clean_shared(Cleaner& cleaner, const std::string& partial, const RunPlaces& places) {
  clean_partial(cleaner, partial, places.model);
  const std::string setup = setup_file(places.output);
  if (is_setup_file(setup) && !is_locked(setup)) cleaner.remove(setup, 0);
}

// Whether the run of this very folder began that output: a copy of a work folder, or an older one, is not enough.
bool is_own_partial(const std::string& folder, const RunPlaces& places, const std::string& partial) {
  if (places.output.empty() || places.work_directory != resolved_path(folder)) return false;
  const std::string id = join_path(partial, run_id_file), mine = recorded_run_id(folder);
  return !mine.empty() && is_regular_file(id) && read_text(id) == mine;
}

// Whether another process that shares the output of the run `mine` has records of what it wrote: their folders stand
// side by side, "OUT.work.1-of-2" and "OUT.work.2-of-2".
bool others_have_written(const std::string& folder, const std::string& mine) {
  const std::string place = resolved_path(folder);
  const std::size_t end = place.rfind("-of-"), start = place.rfind('.');
  if (end == std::string::npos || start == std::string::npos) return false;
  const std::string stem = place.substr(0, start + 1), ending = place.substr(end), parent = parent_directory(place);
  return std::ranges::any_of(list_directory(parent), [&](const DirectoryEntry& entry) {
    const std::string other = join_path(parent, entry.name);
    return entry.is_directory && other != place && other.starts_with(stem) && other.ends_with(ending) &&
           recorded_run_id(other) == mine;
  });
}

// "OUT.partial" of "OUT.work", which may or may not be of the same run.
std::string partial_beside(std::string_view folder) {
  constexpr std::string_view ending = ".work";
  return folder.ends_with(ending) ? partial_folder(std::string(folder.substr(0, folder.size() - ending.size()))) : "";
}

}  // namespace

CleanReport clean_work(const std::string& folder) {
  require_recorded_run(folder);
  const FileLock lock(join_path(folder, "lock"));
  CleanReport report;
  Cleaner cleaner(report);
  // First the partial output: run.json, which names it, goes with the rest.
  const RunPlaces places = recorded_places(folder);
  const std::string partial = places.output.empty() ? partial_beside(folder) : partial_folder(places.output);
  const std::string run = recorded_run_id(folder);
  const bool own = is_own_partial(folder, places, partial), shared = own && is_shared_run_id(run);
  if (own && !shared)
    clean_partial(cleaner, partial, places.model);
  else if (!own && !partial.empty() && is_directory(partial))
    report.unknown.push_back(partial);
  cleaner.clean_folder(join_path(folder, work_names::boundaries), is_boundary);
  cleaner.clean_folder(join_path(folder, work_names::renders), is_render);
  cleaner.clean_folder(join_path(folder, work_names::scratch), is_scratch);
  for (const DirectoryEntry& entry : list_directory(folder)) {
    const std::string path = join_path(folder, entry.name);
    const bool seen = std::ranges::find(folders, entry.name) != folders.end();
    if (is_progress(entry))
      cleaner.remove(path, entry.bytes);
    else if (std::ranges::find(records, entry.name) != records.end())
      report.kept.push_back(path);
    else if (!seen || !is_real_folder(path))
      report.unknown.push_back(path);
  }
  // After one's own journal, so that of two who clean at once the last one sees none.
  if (shared && others_have_written(folder, run))
    report.kept.push_back(partial);
  else if (shared)
    clean_shared(cleaner, partial, places);
  return report;
}

}  // namespace strata
