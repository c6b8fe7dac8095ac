#include "base/budget.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>
#include <thread>
#include <vector>

#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a lease is given back when it dies and the peak is kept") {
  Budget budget("memory", 100);
  {
    const Lease first = budget.take(60, "weights");
    const Lease second = budget.take(40, "hidden states");
    CHECK(budget.used() == 100);
    CHECK(first.bytes() == 60);
  }
  CHECK(budget.used() == 0);
  CHECK(budget.peak() == 100);
  CHECK(budget.take(100, "all").bytes() == 100);
}

TEST_CASE("what exceeds a budget is refused with those who hold the rest") {
  Budget budget("host memory", 1 << 20);
  const Lease held = budget.take(700 << 10, "layer 3");
  { const Lease gone = budget.take(1 << 10, "a buffer that is gone"); }
  const Error error = test::thrown_by([&] { (void)budget.take(400 << 10, "codes"); });
  CHECK(error.fault == Fault::budget);
  CHECK_THAT(error.what(), ContainsSubstring("host memory") && ContainsSubstring("400 KiB for codes") &&
                               ContainsSubstring("700 KiB of 1.00 MiB") && ContainsSubstring("700 KiB for layer 3") &&
                               !ContainsSubstring("gone"));
  CHECK(budget.used() == 700 << 10);
  CHECK(test::thrown_by([&] { (void)budget.take(std::numeric_limits<std::uint64_t>::max(), "x"); }).fault ==
        Fault::budget);
}

TEST_CASE("a moved lease counts once") {
  Budget budget("memory", 100);
  Lease a = budget.take(30, "a");
  Lease b = std::move(a);
  CHECK(budget.used() == 30);
  Lease c = budget.take(50, "c");
  c = std::move(b);
  CHECK(budget.used() == 30);
  c = Lease();
  CHECK(budget.used() == 0);
}

TEST_CASE("many threads never exceed the limit") {
  Budget budget("memory", 8);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) const Lease lease = budget.take(1, "thread");
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(budget.used() == 0);
  CHECK(budget.peak() <= 8);
}

TEST_CASE("a lease that shrinks gives the rest back") {
  Budget budget("disk", 100);
  Lease lease = budget.take(80, "a");
  lease.shrink(30);
  CHECK(lease.bytes() == 30);
  CHECK(budget.used() == 30);
  CHECK(budget.peak() == 80);
  Lease other = budget.take(70, "b");
  CHECK_THROWS_AS(lease.shrink(31), Error);
  lease = Lease();
  CHECK(budget.used() == 70);
}
