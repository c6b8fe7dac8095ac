// "Did you mean": the nearest of the words that exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace strata {

// " (did you mean nvfp4?)" when one word is near, else " (one of a, b, c)". Case does not count.
// Append it to an error.
std::string suggest(std::string_view typed, std::span<const std::string> words);

}  // namespace strata
