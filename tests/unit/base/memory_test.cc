#include "base/memory.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>

#include "base/buffer.h"
#include "tests/support/thrown.h"

using namespace strata;

TEST_CASE("resident memory follows what is touched") {
  constexpr std::uint64_t size = 64u << 20;
  const std::uint64_t before = resident_bytes();
  REQUIRE(before > 0);
  {
    Buffer buffer(size);
    std::memset(buffer.data(), 1, size);
    CHECK(resident_bytes() >= before + size / 2);
    CHECK(peak_resident_bytes() >= before + size / 2);
  }
  CHECK(resident_bytes() < before + size / 2);
  CHECK(peak_resident_bytes() >= before + size / 2);
}

TEST_CASE("the machine has memory to give") {
  CHECK(available_memory_bytes() > 1u << 20);
  CHECK(available_memory_bytes() < std::uint64_t{1} << 50);
}

TEST_CASE("a buffer is zeroed, moves, and grows") {
  Buffer buffer(5000);
  CHECK(buffer.size() == 5000);
  for (const std::byte value : buffer.bytes()) REQUIRE(value == std::byte{0});
  const std::byte* const data = buffer.data();
  Buffer moved = std::move(buffer);
  CHECK(moved.data() == data);
  moved.grow(100);
  CHECK(moved.data() == data);
  moved.grow(10'000'000);
  CHECK(moved.size() == 10'000'000);
  moved.data()[9'999'999] = std::byte{1};
  CHECK(Buffer().size() == 0);
}

TEST_CASE("memory that the system refuses is a budget error") {
  CHECK(test::thrown_by([] { Buffer buffer(std::uint64_t{1} << 60); }).fault == Fault::budget);
}
