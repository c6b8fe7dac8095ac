#include "engine/work/published.h"

#include <nlohmann/json.hpp>

#include "cache/journal.h"
#include "engine/output/output_folder.h"
#include "engine/work/earlier_run.h"
#include "engine/work/work_folder.h"
#include "engine/work/work_place.h"

namespace strata {

using Json = nlohmann::ordered_json;

std::optional<PublishedRun> published_before(const PlacesRequest& places, Resume resume) {
  JournalMiss miss;
  if (resume == Resume::never || !is_directory(places.output)) return std::nullopt;
  const std::optional<JournalContents> contents = read_journal(journal_path(places.work_directory), miss);
  if (!contents) return std::nullopt;
  std::optional<Fingerprint> run;
  std::optional<FileIdentity> published, replaced;
  for (const std::string& text : contents->records) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    if (std::optional<Fingerprint> print = read_print(json, "run")) run = std::move(print);
    if (!json.contains("publishing")) continue;
    published = read_identity(json, "publishing");
    replaced = read_identity(json, "replaces");
  }
  if (!run || published != identity_of(places.output)) return std::nullopt;
  return PublishedRun{.run = std::move(*run), .replaced = replaced};
}

void tidy_up_after(const PublishedRun& run, const PlacesRequest& places) {
  const FileLock lock = lock_work_directory(places.work_directory);
  const std::string partial = partial_folder(places.output);
  if (run.replaced && is_directory(partial) && identity_of(partial) == *run.replaced)
    remove_tree(partial);  // by --force
  // Of processes that shared it: the last one was stopped before it removed these.
  const std::string id = join_path(places.output, run_id_file), setup = setup_file(places.output);
  if (is_regular_file(id) && !is_link(id) && read_text(id) == shared_run_id(run.run)) remove_tree(id);
  if (is_setup_file(setup) && !is_locked(setup)) remove_tree(setup);
  remove_boundaries(places.work_directory);
  remove_scratch(places.work_directory);
  remove_journal(places.work_directory);
}

}  // namespace strata
