#pragma once

#include <string>
#include <string_view>

namespace strata::test {

// The path of a file or folder of this repository, such as "tests/golden/models"; "../shared" lies beside it.
std::string in_source(std::string_view relative);

}  // namespace strata::test
