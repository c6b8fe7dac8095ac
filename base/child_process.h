// Runs another program and reads what it prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace strata {

struct ChildResult {
  int exit_code = 0;   // 128 + signal when a signal ended it
  std::string output;  // its stdout; stderr is shared with ours
};

// `arguments[0]` is found on the PATH; nullopt when there is no such program. No shell is involved.
// Error{io} when the system cannot start or read it.
std::optional<ChildResult> run_child(const std::vector<std::string>& arguments);

std::string program_path();  // of the running program, links resolved; empty when unknown

}  // namespace strata
