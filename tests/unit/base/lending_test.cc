#include "base/lending.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

using namespace strata;
using namespace std::chrono_literals;

TEST_CASE("what is lent is back when its last owner lets go, and comes again") {
  Lending<int> lending;
  lending.add(std::make_unique<int>(1));
  lending.add(std::make_unique<int>(2));
  std::shared_ptr<int> first = lending.take(), second = lending.take();
  CHECK(std::set<int>{*first, *second} == std::set<int>{1, 2});
  std::shared_ptr<int> copy = first;
  const int value = *first;
  first.reset();
  *copy += 10;
  copy.reset();
  CHECK(*lending.take() == value + 10);
}

TEST_CASE("whoever asks waits until something is back") {
  Lending<int> lending;
  lending.add(std::make_unique<int>(1));
  std::shared_ptr<int> held = lending.take();
  std::atomic<bool> taken = false;
  {
    const std::jthread other([&] {
      const std::shared_ptr<int> got = lending.take();
      taken = true;
    });
    std::this_thread::sleep_for(10ms);
    CHECK_FALSE(taken);
    held.reset();
  }
  CHECK(taken);
}

TEST_CASE("whoever waits is sent away when he is asked to stop") {
  Lending<int> lending;
  std::shared_ptr<int> got = std::make_shared<int>(1);
  {
    const std::jthread other([&](std::stop_token stop) { got = lending.take(std::move(stop)); });
  }
  CHECK(got == nullptr);
}

TEST_CASE("what is lent outlives the lending") {
  std::optional<Lending<int>> lending(std::in_place);
  lending->add(std::make_unique<int>(5));
  const std::shared_ptr<int> held = lending->take();
  lending.reset();
  CHECK(*held == 5);
}

TEST_CASE("many threads share a few things, each with one owner at a time") {
  struct Thing {
    std::atomic<int> owners = 0;
  };
  Lending<Thing> lending;
  for (int i = 0; i < 3; ++i) lending.add(std::make_unique<Thing>());
  std::atomic<bool> shared = false;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) {
          const std::shared_ptr<Thing> thing = lending.take();
          if (++thing->owners != 1) shared = true;
          --thing->owners;
        }
      });
  }
  CHECK_FALSE(shared);
}
