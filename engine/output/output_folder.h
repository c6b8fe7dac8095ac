// Where an output may go, and the folder in which it is written.
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

// The same for a process that shares the folder with others of one run. `joins`: what they made there is whole, as the
// caller knows; else it begins anew, where nobody works. To be called while the lock of setup_file() is held.
struct SharedFolder {
  FileLock lock;
  bool joins = false;
};
SharedFolder share_partial_folder(const std::string& folder, std::span<const std::string> planned, bool joins);

// "<OUT>.partial.setup": locked while one of the processes that share a folder makes it, or publishes it.
std::string setup_file(const std::string& output);
bool is_setup_file(const std::string& path);  // whether what stands there may be one: an empty file

// The errors of claim_partial_folder() that are known without making or removing anything.
void require_partial_folder(const std::string& folder, std::span<const std::string> planned,
                            FileLock::Kind kind = FileLock::Kind::exclusive);

// What an interrupted run left there, in bytes: free again once the next run begins.
std::uint64_t stale_partial_bytes(const std::string& output);

}  // namespace strata
