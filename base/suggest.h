// "Did you mean": the nearest of the words that exist.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace strata {

// The word that was probably meant; nullopt when none is near. Case does not count.
std::optional<std::string> nearest(std::string_view typed, std::span<const std::string> words);

// " (did you mean nvfp4?)" of the nearest, "" when none is near. Append it to an error.
std::string did_you_mean(std::string_view typed, std::span<const std::string> words);

// " (did you mean nvfp4?)" when one word is near, else " (one of a, b, c)". Case does not count.
// Append it to an error.
std::string suggest(std::string_view typed, std::span<const std::string> words);

}  // namespace strata
