#include "cache/source_identity.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/cache/boundary_fixture.h"

using namespace strata;
using namespace strata::test;

namespace {

std::string shard_bytes(std::size_t data, char fill = 'a') {
  const std::string header = R"({"x": 1}        )";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  return bytes + header + std::string(data, fill);
}

// Written with a time of its own, so that only what is meant to differ does.
std::string identity(const std::string& path, const std::string& bytes, int second = 0) {
  write_bytes(path, bytes);
  std::filesystem::last_write_time(path, std::filesystem::file_time_type(std::chrono::seconds(second)));
  return shard_identity(InputFile(path));
}

}  // namespace

TEST_CASE("a shard is the same when nothing changed, another when size, time, header or sampled data did") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors"), bytes = shard_bytes(1 << 20);
  const std::string same = identity(path, bytes);
  CHECK(identity(path, bytes) == same);
  std::set<std::string> seen{same};
  CHECK(seen.insert(identity(path, bytes, 1)).second);
  CHECK(seen.insert(identity(path, shard_bytes((1 << 20) + 1))).second);
  std::string changed = bytes;
  changed[10] = '!';
  CHECK(seen.insert(identity(path, changed)).second);
  for (const std::size_t at : {std::size_t{24}, std::size_t{24 + (1 << 20) - 1}}) {  // the first and the last byte
    changed = bytes;
    changed[at] = 'b';
    CHECK(seen.insert(identity(path, changed)).second);
  }
  // A finetune: equal header and size, other data everywhere.
  CHECK(seen.insert(identity(path, shard_bytes(1 << 20, 'c'))).second);
}

TEST_CASE("all data of a small shard counts") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors"), bytes = shard_bytes(200);
  std::set<std::string> seen{identity(path, bytes)};
  for (std::size_t at = 24; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = 'b';
    CHECK(seen.insert(identity(path, changed)).second);
  }
}

TEST_CASE("a file that is no safetensors file has an identity too") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  CHECK(identity(path, "") != identity(path, "abc"));
  CHECK(identity(path, std::string(100, '\xff')) != identity(path, std::string(99, '\xff')));
}
