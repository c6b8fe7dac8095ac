// What stands behind an option, as text: read with one rule for numbers, sizes, times and words everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// "-o,--output,--output-dir" one by one.
std::vector<std::string> split_names(std::string_view names);

// What messages call an option: its first long name, or else its first.
std::string spoken_name(std::string_view names);

// Each is Error{usage} that begins with `name` when the text is something else.

// A whole number of 1 or more, at most `largest`.
std::int64_t parse_count(std::string_view name, std::string_view text, std::int64_t largest);

// Bytes of "24GiB", 1 or more.
std::uint64_t parse_size(std::string_view name, std::string_view text);

// Seconds of "3h50m", "90s", "1.5h" or "600": parts in the order d h m s, more than 0 in all.
double parse_duration(std::string_view name, std::string_view text);

// The index of the word among `words`, without regard to case; a typo gets a suggestion.
std::size_t parse_choice(std::string_view name, std::string_view text, std::span<const std::string_view> words);

}  // namespace strata
