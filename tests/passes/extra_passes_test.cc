// Passes of the test tree take part in runs by being there: none of the engine's files names them.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "engine/graph/facts.h"
#include "engine/run/calibration.h"
#include "engine/run/prepare.h"
#include "engine/work/run_keys.h"
#include "tests/support/sweep_shape.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

class Fixture {
 public:
  explicit Fixture(const std::string& scheme) {
    write_token_rows(folder_.file("ids.safetensors"), 8, 32, demo_vocabulary);
    options = options_in(folder_, demo_model, scheme, folder_.file("ids.safetensors"), 8, 32);
    options.assignment.allow_unservable = true;
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

constexpr std::string_view decided_run =
    "forward decode propagate count_rows measure_spread; none choose_formats report_rows; forward render assemble";

}  // namespace

TEST_CASE("a pass takes part with its order, its cost, its key and what it wants to learn") {
  Fixture fixture("NVFP4A16");
  const PlanSummary summary = plan_quantize(fixture.options);
  CHECK(sweep_shape(summary.sweeps) == "forward decode propagate render assemble count_rows; none report_rows");

  const ComputeSession session("cpu", 2);
  const auto plan = [&] { return prepare(fixture.options, session); };
  CHECK(plan().sweeps[0].cut.memory.sheet.of(Resource::host, "row counts") == plan().model.linears.size() * 64);

  const auto keys = [&] {
    const RunPlan planned = plan();
    RunKeys all(planned, fixture.options, nullptr);
    all.add_sweeps(planned, fixture.options, 0, planned.sweeps.size());
    return all;
  };
  const RunKeys before = keys();
  fixture.options.calibration.add_special_tokens = true;
  const RunKeys after = keys();
  CHECK(after.sweep(0).steps[1].differences(before.sweep(0).steps[1]) ==
        std::vector<std::string>{"counted: without -> with"});
  CHECK(after.sweep(0).of(facts::boundary)[1].hash() == before.sweep(0).of(facts::boundary)[1].hash());
}

TEST_CASE("what a pass kept of every layer is there after the sweep, and after an interruption") {
  Fixture fixture("NVFP4A16");
  Watcher whole;
  REQUIRE(test::run(fixture.options, whole) == Ended::done);
  REQUIRE(whole.said("row counts: "));
  const std::string line =
      *std::ranges::find_if(whole.decisions, [](const std::string& one) { return one.starts_with("row counts: "); });
  // q, k, v, o, the router, and those experts that tokens reached.
  CHECK(line != "row counts: 0 Linears, 0 columns");
  const Files expected = files_in(fixture.options.places.output);

  for (const int after : {2, 4}) {
    INFO(after);
    remove_tree(fixture.options.places.output);
    remove_tree(fixture.options.places.work_directory);
    Watcher stopped(after), rest;
    REQUIRE(test::run(fixture.options, stopped) == Ended::stopped);
    CHECK(test::run(fixture.options, rest) == Ended::done);
    CHECK(rest.layers.size() < whole.layers.size());
    CHECK(rest.said(line));
    CHECK(files_in(fixture.options.places.output) == expected);
  }
}

TEST_CASE("a first sweep decides about the formats, and the output is laid out after it") {
  Fixture fixture("");
  CHECK(sweep_shape(plan_quantize(fixture.options).sweeps) == decided_run);
  Watcher whole;
  REQUIRE(test::run(fixture.options, whole) == Ended::done);
  const Files expected = files_in(fixture.options.places.output);
  const std::string decided = read_text(join_path(fixture.options.places.work_directory, "assignment.json"));
  CHECK_THAT(decided, ContainsSubstring("\"NVFP4\"") && ContainsSubstring("\"FP8_DYNAMIC\""));

  // The same formats asked for by a file are the same bytes.
  Fixture given("");
  write_text(given.file("assignment.json"), decided);
  given.options.assignment.file = given.file("assignment.json");
  CHECK(output_of(given.options) == expected);
}

TEST_CASE("a run that is stopped in or between its sweeps goes on to the same bytes") {
  Fixture fixture("");
  const Files expected = output_of(fixture.options);
  constexpr int visits = 6;  // a sweep's: embedding, four layers, head
  for (const int after : {2, visits, visits + 1, visits + 4}) {
    INFO("stopped after " << after << " visits");
    Watcher stopped(after), rest;
    REQUIRE(test::run(fixture.options, stopped) == Ended::stopped);
    CHECK_FALSE(exists(fixture.options.places.output));
    REQUIRE(test::run(fixture.options, rest) == Ended::done);
    CHECK(static_cast<int>(rest.layers.size()) <= 2 * visits - after + 2);
    CHECK(files_in(fixture.options.places.output) == expected);
    remove_tree(fixture.options.places.output);
    remove_tree(fixture.options.places.work_directory);
  }
}

TEST_CASE("what was kept and is damaged is computed again") {
  Fixture fixture("");
  const Files expected = output_of(fixture.options);
  Watcher stopped(8), rest;
  REQUIRE(test::run(fixture.options, stopped) == Ended::stopped);
  const std::string kept = join_path(fixture.options.places.work_directory, "act");
  int damaged = 0;
  for (const DirectoryEntry& entry : list_directory(kept)) {
    if (!entry.name.ends_with(".fact") || ++damaged > 3) continue;
    std::string text = read_text(join_path(kept, entry.name));
    text.back() = static_cast<char>(text.back() ^ 1);
    write_text(join_path(kept, entry.name), text);
  }
  REQUIRE(damaged > 0);
  CHECK(test::run(fixture.options, rest) == Ended::done);
  CHECK(rest.layers.size() > 4);
  CHECK(files_in(fixture.options.places.output) == expected);
}
