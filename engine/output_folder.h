// Where an output may go, and the folder a run works in.
#pragma once

#include <string>

#include "base/file.h"

namespace strata {

// Error{usage} when `output` exists and `force` is not given, when it is the model's own folder or holds it,
// or when it exists and is not a checkpoint (force would throw away something else). Error{io} when nothing
// can be created there.
void require_output_free(const std::string& output, const std::string& model, bool force);

// Makes the folder and holds it for this process. Error{busy} when another run does.
FileLock lock_work_directory(const std::string& work_directory);

}  // namespace strata
