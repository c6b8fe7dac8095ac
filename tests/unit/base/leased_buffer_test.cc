#include "base/leased_buffer.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/support/thrown.h"

using namespace strata;

TEST_CASE("a leased buffer holds what it has room for, and gives it back") {
  Budget budget("memory", 100'000);
  {
    LeasedBuffer buffer(budget, "weights", 10'000);
    CHECK(buffer.size() >= 10'000);
    CHECK(budget.used() >= 10'000);
    const std::byte* const before = buffer.data();
    buffer.grow(5'000);
    CHECK(buffer.data() == before);
    buffer.grow(80'000);  // the old memory goes first
    CHECK(budget.used() <= 100'000);
    LeasedBuffer other = std::move(buffer);
    CHECK(other.size() >= 80'000);
    CHECK(budget.used() >= 80'000);
    CHECK(test::thrown_by([&] { other.grow(200'000); }).fault == Fault::budget);
  }
  CHECK(budget.used() == 0);
}
