#include "tests/support/temporary_folder.h"

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>

#include "base/file.h"

namespace strata::test {

TemporaryFolder::TemporaryFolder() {
  path_ = (std::filesystem::temp_directory_path() / "strata-test-XXXXXX").string();
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + path_);
}
TemporaryFolder::~TemporaryFolder() { remove_tree(path_); }

std::string TemporaryFolder::file(std::string_view name) const { return join_path(path_, name); }

}  // namespace strata::test
