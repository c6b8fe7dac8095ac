// Where an output may go, and the folder a run works in.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/file.h"

namespace strata {

// Error{usage} when `output` exists and `force` is not given, when it is a link, the model's own folder or holds it,
// or when it exists and is not a checkpoint (force would throw away something else). Error{io} when nothing
// can be created there.
void require_output_free(const std::string& output, const std::string& model, bool force);

// "<OUT>.partial": what a run writes until it is complete.
std::string partial_folder(const std::string& output);

// A file in the partial folder with the identity of the run that began it, so that nobody else goes on there.
inline constexpr const char* run_id_file = "strata-run";

// Makes the partial folder and holds it for this process. What an interrupted run left there is removed unless this
// run is to `go_on` with it. Error{busy} when another run works in it, Error{usage} when it is not what a run leaves.
// `planned` names the files that a run writes beside shards and config.
FileLock claim_partial_folder(const std::string& folder, std::span<const std::string> planned, bool go_on = false);

// The errors of claim_partial_folder() that are known without making or removing anything.
void require_partial_folder(const std::string& folder, std::span<const std::string> planned);

// What an interrupted run left there, in bytes: free again once the next run begins.
std::uint64_t stale_partial_bytes(const std::string& output);

// Error{usage} when the records of the run would end up in the output or in the source, or when it is a file or a
// link to nothing.
void require_work_directory(const std::string& work_directory, const std::string& output, const std::string& model);

// Error{usage} unless a trace may be written at `trace`: nothing stands there, or an older trace, and it is in none of
// `taken` (files and folders that the run reads or writes). Nothing to say when it is empty.
void require_trace_place(const std::string& trace, std::span<const std::string> taken);

// Makes the folder and holds it for this process. Error{busy} when another run does.
FileLock lock_work_directory(const std::string& work_directory);

}  // namespace strata
