// The search that reads eight bytes at a time finds what a plain loop finds.
#include <catch2/catch_test_macros.hpp>
#include <random>

#include "engine/check/codes.h"

using namespace strata;

TEST_CASE("a byte of a class is found wherever it stands among others") {
  std::mt19937 generator(7);
  std::uniform_int_distribution<int> any(1, 0x7e), place(0, 40);
  for (const ByteClass* wanted : {&nan_codes, &negative_or_nan_codes, &extreme_exponents})
    for (int value = 0; value < 256; ++value)
      for (int size = 1; size <= 41; size += 4) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(size));
        for (std::byte& b : bytes) b = static_cast<std::byte>(any(generator));
        bytes[static_cast<std::size_t>(place(generator) % size)] = static_cast<std::byte>(value);
        bytes[static_cast<std::size_t>(place(generator) % size)] = static_cast<std::byte>(value);
        std::size_t expected = 0;
        while (expected < bytes.size() && !wanted->has(bytes[expected])) ++expected;
        REQUIRE(find_byte(bytes, 0, *wanted) == expected);
      }
}

TEST_CASE("the classes hold the bytes that they name") {
  for (int value = 0; value < 256; ++value) {
    const auto b = static_cast<std::byte>(value);
    CHECK(nan_codes.has(b) == (value == 0x7f || value == 0xff));
    CHECK(negative_or_nan_codes.has(b) == (value >= 0x7f));
    CHECK(extreme_exponents.has(b) == (value == 0 || value == 255));
  }
}
