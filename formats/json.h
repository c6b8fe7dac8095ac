// JSON documents that we make or read back: nlohmann's type, and its parser and printer, which would cost every source
// that used them two seconds of compiling. Included by .cc files and by headers that only such include.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace strata {

using Json = nlohmann::ordered_json;  // members keep their order

// Of is_discarded() where the text is no JSON.
Json parse_json(std::string_view text);

// On one line without an end of line, or in two-space steps. Names of tensors and files may be any bytes: what is not
// UTF-8 is replaced.
std::string compact_json(const Json& value);
std::string pretty_json(const Json& value);

}  // namespace strata
