#include "engine/work/work_folder.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "cache/journal.h"

namespace strata {
namespace {

constexpr std::string_view journal_start = "strata journal ";

bool is_ours(const DirectoryEntry& entry) {
  constexpr std::array files = {work_names::lock,   work_names::places,  work_names::assignment,
                                work_names::costs,  work_names::prices,  work_names::pareto,
                                work_names::events, work_names::journal, work_names::measured};
  constexpr std::array folders = {work_names::boundaries, work_names::renders, work_names::scratch};
  if (entry.is_link) return false;
  if (entry.is_directory) return std::ranges::find(folders, entry.name) != folders.end();
  std::string_view name = entry.name;
  if (name.ends_with(".tmp")) name.remove_suffix(4);
  return std::ranges::find(files, name) != files.end();
}

// Removes the files of a folder that `ours` says are ours.
template <typename Ours>
void remove_files(const std::string& folder, const Ours& ours) {
  if (!is_directory(folder) || is_link(folder)) return;
  bool empty = true;
  for (const DirectoryEntry& entry : list_directory(folder)) {
    if (entry.is_regular && !entry.is_link && ours(entry.name))
      remove_tree(join_path(folder, entry.name));
    else
      empty = false;
  }
  if (empty) remove_tree(folder);
}

}  // namespace

bool is_shallow(std::string_view json) {
  constexpr int deepest = 32;
  int depth = 0;
  for (const char letter : json) {
    if (letter == '[' || letter == '{') ++depth;
    if (letter == ']' || letter == '}') --depth;
    if (depth > deepest) return false;
  }
  return true;
}

bool is_scratch_name(std::string_view name) {
  // The last two are those of older versions.
  return name.starts_with("states.") || name == "boundary" || name == "experts";
}

bool is_render_name(std::string_view name) { return name.ends_with(".renders"); }

bool is_kept_name(std::string_view name) {
  for (const std::string_view unfinished : {".partial", ".tmp"})
    if (name.ends_with(unfinished)) name.remove_suffix(unfinished.size());
  return name.ends_with(".sba") || name.ends_with(".fact") || name == "disk.probe";
}

bool may_hold_work(const std::string& folder) {
  if (!exists(folder)) return true;
  if (std::ranges::all_of(list_directory(folder), is_ours)) return true;
  const RunPlaces places = recorded_places(folder);
  return !places.output.empty() && !places.model.empty();
}

RunPlaces recorded_places(const std::string& folder) {
  const std::string path = join_path(folder, work_names::places);
  if (!exists(path)) return {};
  const std::string text = read_text(path);
  if (!is_shallow(text)) return {};
  const nlohmann::json record = nlohmann::json::parse(text, nullptr, false);
  if (!record.is_object()) return {};
  RunPlaces places;
  // A relative path would mean another place for everybody who looks from elsewhere.
  const auto read = [&](const char* key, std::string& place) {
    if (record.contains(key) && record[key].is_string() && record[key].get<std::string>().starts_with('/') &&
        record[key].get<std::string>().find('\0') == std::string::npos)
      place = record[key].get<std::string>();
  };
  read("output", places.output);
  read("model", places.model);
  read("work_directory", places.work_directory);
  return places;
}

std::string recorded_run_id(const std::string& folder) {
  JournalMiss miss;
  std::string id;
  const std::optional<JournalContents> contents = read_journal(join_path(folder, work_names::journal), miss);
  if (!contents) return id;
  for (const std::string& text : contents->records) {
    if (!is_shallow(text)) continue;
    const nlohmann::json record = nlohmann::json::parse(text, nullptr, false);
    if (record.is_object() && record.contains("run")) id = record.value("id", "");
  }
  return id;
}

std::uint64_t stale_work_bytes(const std::string& folder) {
  return folder_bytes(join_path(folder, work_names::boundaries)) + folder_bytes(join_path(folder, work_names::scratch));
}

void remove_journal(const std::string& folder) {
  const std::string path = join_path(folder, work_names::journal);
  if (!exists(path) && !is_link(path)) return;
  std::string start;
  if (!is_link(path)) start = read_text(path).substr(0, journal_start.size());
  if (is_link(path) || !journal_start.starts_with(start))
    fail(Fault::usage, "{}: is not a journal of ours; choose another work directory (-w)", path);
  remove_tree(path);
  sync_directory(folder);
}

void remove_scratch(const std::string& folder) {
  remove_files(join_path(folder, work_names::scratch), [](const std::string& name) { return is_scratch_name(name); });
}

void remove_boundaries(const std::string& folder) {
  remove_files(join_path(folder, work_names::boundaries), [](const std::string& name) { return is_kept_name(name); });
}

}  // namespace strata
