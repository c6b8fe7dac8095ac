#include "cache/fingerprint.h"

#include <catch2/catch_test_macros.hpp>

using namespace strata;

namespace {

Fingerprint print(std::initializer_list<std::pair<const char*, const char*>> parts) {
  Fingerprint result;
  for (const auto& [name, value] : parts) result.add(name, value);
  return result;
}

}  // namespace

TEST_CASE("equal parts give equal hashes, anything else another") {
  const std::string hash = print({{"scheme", "NVFP4"}, {"data", "1a2b"}}).hash();
  CHECK(hash.size() == 32);
  CHECK(hash == print({{"scheme", "NVFP4"}, {"data", "1a2b"}}).hash());
  CHECK(hash != print({{"data", "1a2b"}, {"scheme", "NVFP4"}}).hash());
  CHECK(hash != print({{"scheme", "NVFP4"}, {"data", "1a2c"}}).hash());
  CHECK(hash != print({{"scheme", "NVFP4"}}).hash());
}

TEST_CASE("the border between name and value counts") {
  CHECK(print({{"ab", "c"}}).hash() != print({{"a", "bc"}}).hash());
  CHECK(print({{"a", "1=2;3"}}).hash() != print({{"a", "1"}, {"2", "3"}}).hash());
  CHECK(print({{"a", ""}}).hash() != print({{"", "a"}}).hash());
}

TEST_CASE("every difference is told with old and new value") {
  const Fingerprint older = print({{"scheme", "NVFP4"}, {"data", "1a2b"}, {"seed", "1"}});
  const Fingerprint newer = print({{"scheme", "W4A16"}, {"data", "1a2b"}, {"window", "8"}});
  CHECK(newer.differences(older) ==
        std::vector<std::string>{"scheme: NVFP4 -> W4A16", "window: (none) -> 8", "seed: 1 -> (none)"});
  CHECK(older.differences(older).empty());
  CHECK(older.value("data") == "1a2b");
  CHECK(older.value("window") == std::nullopt);
}

TEST_CASE("a part whose value reads like a missing one is there all the same") {
  const Fingerprint none = print({}), odd = print({{"window", "(none)"}});
  CHECK(odd.differences(none).size() == 1);
  CHECK(none.differences(odd).size() == 1);
}

TEST_CASE("the parts are printed in order") {
  CHECK(print({{"b", "x"}, {"a", "\"y\""}}).json() == "{\n  \"b\": \"x\",\n  \"a\": \"\\\"y\\\"\"\n}\n");
}
