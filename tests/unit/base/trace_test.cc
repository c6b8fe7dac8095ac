// The trace as another JSON reader sees it.
#include "base/trace.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using Json = nlohmann::json;

namespace {

std::vector<Json> events(const Json& trace, const std::string& phase) {
  std::vector<Json> found;
  for (const Json& event : trace)
    if (event.at("ph") == phase) found.push_back(event);
  return found;
}

// Row -> its name.
std::map<int, std::string> rows(const Json& trace) {
  std::map<int, std::string> names;
  for (const Json& event : events(trace, "M"))
    if (event.at("name") == "thread_name") CHECK(names.emplace(event.at("tid"), event.at("args").at("name")).second);
  return names;
}

void spans(Trace* trace, Track track, int count) {
  for (int i = 0; i < count; ++i) const Trace::Span span(trace, track, "work", {.layer = i, .bytes = 7});
}

std::int64_t nanoseconds(const Json& microseconds) { return std::llround(microseconds.get<double>() * 1000); }

}  // namespace

TEST_CASE("a trace is a JSON array of events with their row, time and arguments") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("trace.json");
  write_text(path, "what an earlier run left");
  {
    Trace trace(path);
    Trace::Span outer(&trace, Track::read, "layer 3", {.layer = 3, .part = 0});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    { const Trace::Span inner(&trace, Track::compress, "a \"name\" \\ with\n\xff in it"); }
    outer.set_bytes(123'456'789'012);
  }
  const Json trace = Json::parse(read_text(path));
  const std::vector<Json> found = events(trace, "X");
  REQUIRE(found.size() == 2);
  const Json &inner = found[0], &outer = found[1];  // in the order in which they end
  CHECK(outer.at("name") == "layer 3");
  CHECK(outer.at("args") == Json{{"layer", 3}, {"part", 0}, {"bytes", 123'456'789'012}});
  CHECK(outer.at("dur").get<double>() >= 20'000);
  CHECK(outer.at("dur").get<double>() < 5'000'000);
  CHECK(outer.at("ts").get<double>() >= 0);
  CHECK(outer.at("ts").get<double>() + 20'000 <= inner.at("ts").get<double>());
  CHECK(inner.at("name") == "a \"name\" \\ with?? in it");
  CHECK(inner.at("args").empty());
  CHECK(inner.at("pid") == outer.at("pid"));
  CHECK(rows(trace).at(outer.at("tid")) == "read");
  CHECK(rows(trace).at(inner.at("tid")) == "compress");
}

TEST_CASE("events of one row never overlap, and none is lost among threads") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("trace.json");
  {
    Trace trace(path);
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) threads.emplace_back([&] { spans(&trace, Track::encode, 2000); });
    threads.emplace_back([&] { spans(&trace, Track::write, 2000); });
    for (std::thread& thread : threads) thread.join();
    // As long as there is one thread, there is one row.
    const Trace::Span one(&trace, Track::decode, "one");
    const Trace::Span two(&trace, Track::decode, "two");
  }
  const Json trace = Json::parse(read_text(path));
  const std::map<int, std::string> names = rows(trace);
  std::map<int, std::vector<std::pair<std::int64_t, std::int64_t>>> times;
  std::map<std::string, int> counts;
  for (const Json& event : events(trace, "X")) {
    const std::int64_t start = nanoseconds(event.at("ts"));
    times[event.at("tid")].emplace_back(start, start + nanoseconds(event.at("dur")));
    const std::string& name = names.at(event.at("tid"));
    ++counts[name.substr(0, name.find(' '))];
  }
  CHECK(counts == std::map<std::string, int>{{"encode", 12'000}, {"write", 2000}, {"decode", 2}});
  for (auto& [row, list] : times) {
    INFO(names.at(row));
    std::ranges::sort(list);
    bool apart = true;
    for (std::size_t i = 1; i < list.size(); ++i) apart = apart && list[i - 1].second <= list[i].first;
    CHECK(apart);
  }
  std::set<std::string> called;
  for (const auto& [row, name] : names) called.insert(name);
  CHECK(called.size() == names.size());
  CHECK(called.contains("decode 2"));
  CHECK(!called.contains("write 2"));
}

TEST_CASE("a trace goes to the file while it grows, and what a killed run leaves lacks only the end") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("trace.json");
  Trace trace(path);
  CHECK(Json::parse(read_text(path) + "]").is_array());
  std::uint64_t before = file_size(path);
  for (int i = 1; i <= 3; ++i) {
    spans(&trace, Track::read, 1500);
    CHECK(file_size(path) > before);
    CHECK(file_size(path) < before + (256 << 10));
    before = file_size(path);
    CHECK(Json::parse(read_text(path) + "]").is_array());
  }
  trace.flush();
  CHECK(events(Json::parse(read_text(path) + "]"), "X").size() == 4500);
}

TEST_CASE("an exception leaves a whole trace") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("trace.json");
  try {
    Trace trace(path);
    const Trace::Span span(&trace, Track::compute, "work");
    throw std::runtime_error("end");
  } catch (const std::runtime_error&) {
  }
  CHECK(events(Json::parse(read_text(path)), "X").size() == 1);
}

TEST_CASE("a trace that cannot be written stops with a reason and disturbs nobody") {
  const test::TemporaryFolder folder;
  make_directory(folder.file("gone"));
  const std::string path = folder.file("gone/trace.json");
  auto trace = std::make_unique<Trace>(path);
  spans(trace.get(), Track::read, 10);
  trace->flush();
  CHECK(trace->failure().empty());
  remove_tree(folder.file("gone"));
  spans(trace.get(), Track::read, 10);
  trace->flush();
  const std::string failure = trace->failure();
  CHECK(failure.starts_with(path));
  make_directory(folder.file("gone"));  // it does not begin again in the middle
  spans(trace.get(), Track::write, 3000);
  trace->flush();
  CHECK(trace->failure() == failure);
  trace.reset();
  CHECK(!exists(path));
}

TEST_CASE("a disk that fills up ends the trace, not the run") {
  const test::TemporaryFolder folder;
  Trace trace(folder.file("trace.json"));
  spans(&trace, Track::read, 10);
  trace.flush();
  const std::uint64_t before = file_size(folder.file("trace.json"));
  set_fault_hook([](FileOperation operation, std::string_view, std::string_view) {
    return Interference{.error = operation == FileOperation::pwrite ? ENOSPC : 0};
  });
  spans(&trace, Track::read, 3000);
  set_fault_hook(nullptr);
  CHECK(trace.failure().ends_with("No space left on device"));
  spans(&trace, Track::read, 3000);
  CHECK(file_size(folder.file("trace.json")) == before);
}

TEST_CASE("a trace that cannot even be begun is an error") {
  const test::TemporaryFolder folder;
  CHECK(test::thrown_by([&] { const Trace trace(folder.file("missing/trace.json")); }).fault == Fault::io);
}

TEST_CASE("a span without a trace does nothing") { spans(nullptr, Track::read, 1); }
