#include "base/hash.h"

#include <catch2/catch_test_macros.hpp>

using namespace strata;

TEST_CASE("the hash is XXH3 with 128 bits") {
  CHECK(Hasher().hex() == "99aa06d3014798d86001c324468d497f");  // the published value of the empty input
}

TEST_CASE("any cut of the bytes gives the same hash") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 37);
  const std::string whole = Hasher().add(text).hex();
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{239}, std::size_t{240}, std::size_t{999}})
    CHECK(Hasher().add(std::string_view(text).substr(0, cut)).add(std::string_view(text).substr(cut)).hex() == whole);
  Hasher hasher;
  hasher.add(text);
  CHECK(hasher.hex() == whole);
  CHECK(hasher.hex() == whole);  // asking does not change it
}

TEST_CASE("one bit changes the hash") {
  std::string text(500, 'x');
  const std::string before = Hasher().add(text).hex();
  text[499] = 'y';
  CHECK(Hasher().add(text).hex() != before);
}
