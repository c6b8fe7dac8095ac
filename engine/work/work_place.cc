#include "engine/work/work_place.h"

#include <algorithm>

#include "base/error.h"
#include "engine/output/output_folder.h"
#include "engine/work/work_folder.h"

namespace strata {

void require_work_directory(const std::string& work_directory, const std::string& output, const std::string& model) {
  for (const std::string& taken : {output, partial_folder(output), model})
    if (lies_in(work_directory, taken))
      fail(Fault::usage, "-w {}: is or lies in {}, which the records of a run must not enter; choose another",
           work_directory, taken);
  for (const std::string_view inner : {work_names::boundaries, work_names::scratch})
    for (const std::string& other : {output, model})
      if (lies_in(other, join_path(work_directory, inner)))
        fail(Fault::usage, "-w {}: {} lies in a folder that the run clears; choose another", work_directory, other);
  if (is_directory(work_directory) && !may_hold_work(work_directory))
    fail(Fault::usage, "-w {}: holds files that no run left, and a run removes files there; name a new folder",
         work_directory);
  if (is_link(work_directory) && !exists(work_directory))
    fail(Fault::usage, "-w {}: is a link to something that is not there; make that folder, or choose another",
         work_directory);
  if (exists(work_directory) && !is_directory(work_directory))
    fail(Fault::usage, "-w {}: is a file; choose another work directory", work_directory);
}

void require_work_of(const std::string& work_directory, WorkKind kind) {
  const bool quantize = exists(join_path(work_directory, work_names::places));
  if (kind == WorkKind::forward && quantize)
    fail(Fault::usage, "-w {}: holds the records of a strata quantize; name another folder", work_directory);
  if (kind == WorkKind::quantize && !quantize && !recorded_run_id(work_directory).empty())
    fail(Fault::usage, "-w {}: holds what a strata eval or logits that was stopped goes on from; name another folder",
         work_directory);
}

void require_trace_place(const std::string& trace, std::span<const std::string> taken) {
  if (trace.empty()) return;
  const bool replaces = exists(trace) || is_link(trace);
  if (replaces && !is_link(trace) && !is_directory(trace)) {
    constexpr std::size_t start_bytes = 64;
    std::string start;
    if (is_regular_file(trace)) {
      const InputFile file(trace);
      start.resize(std::min<std::uint64_t>(file.size(), start_bytes));
      file.read_at(0, std::as_writable_bytes(std::span(start)));
    }
    if (!start.starts_with("[\n{\"name\":\"process_name\""))
      fail(Fault::usage, "--trace {}: is there already, and is no trace; choose another name", trace);
  } else if (replaces) {
    fail(Fault::usage, "--trace {}: is not a plain file; choose another name", trace);
  }
  require_new_file(trace, /*force=*/true, taken);
}

FileLock lock_work_directory(const std::string& work_directory) {
  make_directory(work_directory);
  return FileLock(join_path(work_directory, "lock"));
}

}  // namespace strata
