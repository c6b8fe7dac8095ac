#include "engine/output/write_behind.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <latch>
#include <memory>
#include <vector>

#include "tests/support/thrown.h"

using namespace strata;
using namespace std::chrono_literals;

TEST_CASE("jobs run one after the other in their order") {
  std::vector<int> seen;
  WriteBehind writer(4);
  for (int i = 0; i < 100; ++i)
    CHECK(writer.push([&seen, i] { seen.push_back(i); }) == static_cast<WriteBehind::Ticket>(i + 1));
  writer.drain();
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) expected.push_back(i);
  CHECK(seen == expected);
}

TEST_CASE("who waits for a job waits for that one and none behind it") {
  WriteBehind writer(4);
  writer.wait(0);
  std::latch go(1);
  std::atomic<bool> first = false, second = false;
  const WriteBehind::Ticket ticket = writer.push([&] { first = true; });
  writer.push([&] {
    go.wait();
    second = true;
  });
  writer.wait(ticket);
  CHECK(first);
  CHECK_FALSE(second);
  go.count_down();
  writer.drain();
  CHECK(second);
}

TEST_CASE("a job is gone, with all that it owns, before its end is told") {
  WriteBehind writer(4);
  for (int i = 0; i < 200; ++i) {
    auto owned = std::make_shared<int>(i);
    const std::weak_ptr<int> left = owned;
    const WriteBehind::Ticket ticket = writer.push([owned = std::move(owned)] {});
    writer.wait(ticket);
    REQUIRE(left.expired());
  }
}

TEST_CASE("what a job throws drops those behind it and comes out of every later call") {
  WriteBehind writer(8);
  std::latch go(1);
  std::atomic<int> later = 0;
  const auto owned = std::make_shared<int>(1);
  const WriteBehind::Ticket good = writer.push([] {});
  writer.push([&] {
    go.wait();
    fail(Fault::io, "disk: planted");
  });
  for (int i = 0; i < 3; ++i) writer.push([&later, owned] { ++later; });
  writer.wait(good);
  go.count_down();
  CHECK(test::thrown_by([&] { writer.drain(); }).what() == std::string("disk: planted"));
  CHECK(test::thrown_by([&] { writer.push([&] { ++later; }); }).fault == Fault::io);
  CHECK(test::thrown_by([&] { writer.wait(5); }).fault == Fault::io);
  CHECK(later == 0);
  CHECK(owned.use_count() == 1);
}

TEST_CASE("whoever pushes waits while too much waits to be written, and learns of an error there") {
  WriteBehind writer(2);
  std::latch go(1), begun(1);
  writer.push([&] {
    begun.count_down();
    go.wait();
    fail(Fault::io, "disk: planted");
  });
  begun.wait();
  writer.push([] {});
  writer.push([] {});
  std::atomic<bool> pushed = false, refused = false;
  {
    const std::jthread other([&] {
      try {
        writer.push([] {});
        pushed = true;
      } catch (const Error&) {
        refused = true;
      }
    });
    std::this_thread::sleep_for(20ms);
    CHECK_FALSE(pushed);
    go.count_down();
  }
  CHECK(refused);
}

TEST_CASE("a writer that is given up finishes what it writes and drops what waits") {
  std::latch begun(1);
  std::atomic<bool> done = false;
  std::atomic<int> later = 0;
  const auto owned = std::make_shared<int>(1);
  {
    WriteBehind writer(8);
    writer.push([&] {
      begun.count_down();
      std::this_thread::sleep_for(100ms);
      done = true;
    });
    for (int i = 0; i < 3; ++i) writer.push([&later, owned] { ++later; });
    begun.wait();
  }
  CHECK(done);
  CHECK(later == 0);
  CHECK(owned.use_count() == 1);
}
