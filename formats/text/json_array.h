// Cuts a JSON array into its elements without building them: data sets are large.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strata {

// The elements of an array of strings and objects, as pieces of `text`, which begins with "[" but for white space.
// Only what is needed to find their ends is looked at: an element may still be broken JSON. Error{input} with the
// number of the element (from 1) or the byte, for anything else between the brackets, and for what follows them.
std::vector<std::string_view> split_json_array(std::string_view text, const std::string& path);

}  // namespace strata
