// Seconds by stage, added up by many threads.
#include "base/stage_times.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace strata;

TEST_CASE("seconds of a stage add up over threads") {
  StageTimes times;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) times.add(Stage::encode, 0.001);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(times.seconds(Stage::encode) == 4.0);
  CHECK(times.seconds(Stage::read) == 0);
}

TEST_CASE("a span counts its time, also when an exception ends it, and none without a place to count it") {
  StageTimes times;
  try {
    const StageTimes::Span span(&times, Stage::write);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    throw std::runtime_error("end");
  } catch (const std::runtime_error&) {
  }
  CHECK(times.seconds(Stage::write) >= 0.02);
  CHECK(times.seconds(Stage::write) < 5);
  const StageTimes::Span none(nullptr, Stage::write);
}

TEST_CASE("the stages that took time are told in their order") {
  StageTimes times;
  CHECK(times.text().empty());
  times.add(Stage::wait_for_read, 0.44);
  times.add(Stage::read, 12.06);
  times.add(Stage::forward, 80);
  CHECK(times.text() == "read 12.1 s, forward 80.0 s, waiting for read 0.4 s");
  CHECK(stage_name(Stage::wait_for_write) == "waiting for write");
}
