// The program: picks the command, runs it, turns errors into messages and exit codes.
#pragma once

#include <span>
#include <string>

namespace strata {

int run_program(std::span<const std::string> arguments);  // without the program's own name

}  // namespace strata
