// Edits a JSON object as text: members come and go, and every other byte stays as it was (number
// spellings such as 1e-06, order, indentation). The text is valid JSON; the caller has parsed it.
#pragma once

#include <string>
#include <string_view>

namespace strata {

// Without the member `key` of the object (of its member object `section` when that is not empty).
// Unchanged when there is none.
std::string without_member(std::string text, std::string_view key, std::string_view section = {});

// With `value` as the value of the member `key` (of `section`'s object when that is not empty). Unchanged when there
// is no such member.
std::string with_value(std::string text, std::string_view key, std::string_view value, std::string_view section = {});

// With `value`, pretty JSON in two-space steps, as the last member `key`, indented as the object is.
std::string with_member(std::string text, std::string_view key, std::string_view value);

}  // namespace strata
