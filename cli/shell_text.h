// Command lines as people paste them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace strata {

// One word as a POSIX shell reads it; control characters as $'\n', which bash, zsh and ksh read.
std::string shell_word(std::string_view word);

// "strata quantize llama -o 'my out'".
std::string shell_command(std::string_view command, std::span<const std::string> arguments);

}  // namespace strata
