#include "tests/support/source_folder.h"

namespace strata::test {

std::string in_source(std::string_view relative) { return STRATA_SOURCE_DIR "/" + std::string(relative); }

}  // namespace strata::test
