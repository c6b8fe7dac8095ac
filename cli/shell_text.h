// Command lines as people paste them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace strata {

// One word as a POSIX shell reads it, in one line of printable characters: what is not printable is made by printf.
// (Only a newline at the very end, which no substitution keeps, takes $'\012', which dash does not read.)
std::string shell_word(std::string_view word);

// A file or folder as an argument: one that begins with a dash is "./-out", so that no program takes it for an option.
std::string shell_path(std::string_view path);

// "strata quantize llama -o 'my out'": the words as they were typed.
std::string shell_command(std::string_view command, std::span<const std::string> arguments);

}  // namespace strata
