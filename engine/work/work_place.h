// Where the records of a run and its trace may go.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/file.h"

namespace strata {

// Error{usage} when the records of the run would end up in the output or in the source, or when it is a file or a
// link to nothing.
void require_work_directory(const std::string& work_directory, const std::string& output, const std::string& model);

// Whose work a folder holds.
enum class WorkKind : std::uint8_t { quantize, forward };

// Error{usage} when the folder holds what a command of the other kind goes on from.
void require_work_of(const std::string& work_directory, WorkKind kind);

// Error{usage} unless a trace may be written at `trace`: nothing stands there, or an older trace, and it is in none of
// `taken` (files and folders that the run reads or writes). Nothing to say when it is empty.
void require_trace_place(const std::string& trace, std::span<const std::string> taken);

// Makes the folder and holds it for this process. Error{busy} when another run does.
FileLock lock_work_directory(const std::string& work_directory);

}  // namespace strata
