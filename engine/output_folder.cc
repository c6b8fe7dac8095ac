#include "engine/output_folder.h"

#include "base/error.h"

namespace strata {

void require_output_free(const std::string& output, const std::string& model, bool force) {
  if (output.empty()) fail(Fault::usage, "-o OUT: is missing");
  require_writable(parent_directory(output));
  if (!exists(output)) return;
  const std::string target = real_path(output), source = real_path(model);
  if (target == source || (source + "/").starts_with(target + "/"))
    fail(Fault::usage, "{}: is or holds the source {}; choose another output", output, model);
  if (!force) fail(Fault::usage, "{}: exists already; choose another output or replace it with --force", output);
  if (!is_directory(target)) fail(Fault::usage, "{}: is a file; choose another output", output);
  if (!list_directory(target).empty() && !exists(join_path(target, "config.json")))
    fail(Fault::usage, "{}: holds something that is not a checkpoint; remove it yourself or choose another output", output);
}

FileLock lock_work_directory(const std::string& work_directory) {
  make_directory(work_directory);
  return FileLock(join_path(work_directory, "lock"));
}

std::string partial_folder(const std::string& output) {
  std::string name = output;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name + ".partial";
}

FileLock claim_partial_folder(const std::string& folder) {
  if (exists(folder)) {
    if (!is_directory(folder)) fail(Fault::usage, "{}: is a file, but the run works in a folder of that name; remove it", folder);
    const FileLock unused(folder);  // another run may be at work in it
    for (const DirectoryEntry& entry : list_directory(folder))
      if (!entry.is_regular || entry.is_link)
        fail(Fault::usage, "{}: holds {}, which no run of ours left; remove the folder yourself or choose another output",
             folder, entry.name);
    remove_tree(folder);
  }
  make_directory(folder);
  return FileLock(folder);
}

}  // namespace strata
