// Whole runs in which reader, writer or a pass fails while the others wait or have work under way.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <limits>
#include <new>
#include <thread>

#include "engine/output/output_folder.h"
#include "engine/run/prepare.h"
#include "engine/sweep/render.h"
#include "engine/sweep/stream.h"
#include "engine/work/work_place.h"
#include "tests/support/planted_fault.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// Pushes a job that runs out of memory, and then fails itself.
class FailingTwice final : public Pass {
 public:
  void part(Desk& desk) override {
    desk.tools().writer.push([] { throw std::bad_alloc(); });
    fail(Fault::input, "layer: planted");
  }
};

const PassType failing_twice{
    .name = "failing-twice",
    .summary = "fails",
    .reads = {&facts::source},
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<FailingTwice>(); },
};

// Asks its desk for what it did not declare, one way or another.
template <int Way>
class Curious final : public Pass {
 public:
  void part(Desk& desk) override {
    if (Way == 0) desk.get(facts::moments);
    if (Way == 1) desk.find(facts::renders);
    if (Way == 2) desk.make(facts::layer_tensors);
    if (Way == 3) desk.output();
    if (Way == 4) desk.get(facts::weights);  // declared, but nobody has made it
  }
};

template <int Way>
const PassType curious{
    .name = "curious",
    .summary = "asks",
    .reads = {&facts::source},
    .uses = {&facts::weights},
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Curious<Way>>(); },
};

// What a sweep of one pass ends with.
Error error_of(const PassType& pass) {
  const TemporaryFolder folder;
  write_tiny_llama(folder.file("model"));
  const QuantizeRequest options = options_in(folder, folder.file("model"), "W4A16", "", 4, 8);
  const ComputeSession session(options.machine.device, options.machine.threads);
  RunPlan plan = prepare(options, session);
  plan.sweeps.front().passes = {.passes = {&pass}};
  const FileLock lock = lock_work_directory(options.places.work_directory);
  RunKeys keys(plan, options, nullptr);
  keys.add_sweeps(plan, options, 0, 1);
  Budget disk("disk", std::numeric_limits<std::uint64_t>::max()), memory("memory", plan.memory_limit);
  RunLog log(keys, {.places = options.places, .disk = disk, .keep_states = false});
  SweepLog& sweep = log.open_sweep(plan, 0);
  sweep.begin();
  StageTimes times;
  Reporter silent;
  Stream stream(plan, options, {}, {.memory = memory, .times = times, .reporter = silent});
  return thrown_by([&] { stream.run(0, sweep, {}); });
}

// A run in the smallest memory: one part's encoded Linears at a time, so that encoding waits for the writer.
class Fixture {
 public:
  Fixture() {
    write_token_rows(folder_.file("ids.safetensors"), 8, 32, demo_vocabulary);
    options = options_in(folder_, demo_model, "NVFP4", folder_.file("ids.safetensors"), 8, 32);
    options.machine.io = IoMethod::pread;
    output_of(options);  // what a process takes for good with its first run is no part of a later one's plan
    options.machine.max_memory = smallest_limit(options);
  }

  // Calls that an undisturbed run makes of `operation` on a path that holds `text`.
  int count(FileOperation operation, const std::string& text) const {
    int seen = 0;
    const PlantedFault fault([&](const Call& call) {
      seen += call.operation == operation && call.path.find(text) != std::string::npos;
      return Interference{};
    });
    output_of(options);
    return seen;
  }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("what ended a run is told, not what failed while its work was finished") {
  const Error error = error_of(failing_twice);
  CHECK(error.fault == Fault::input);
  CHECK(error.what() == std::string("layer: planted"));
}

TEST_CASE("a pass that asks for what it did not declare is a bug that is told") {
  const auto told = [](const PassType& pass) {
    const Error error = error_of(pass);
    CHECK(error.fault == Fault::bug);
    return std::string(error.what());
  };
  CHECK(told(curious<0>) == "pass curious: asks for moments, which it does not declare");
  CHECK(told(curious<1>) == "pass curious: asks for renders, which it does not declare");
  CHECK(told(curious<2>) == "pass curious: makes layer_tensors, which it does not declare to write");
  CHECK(told(curious<3>) == "pass curious: asks for output, which it does not declare");
  CHECK(told(curious<4>) == "pass curious: asks for weights before anybody made it");
}

TEST_CASE("a writer that fails while encoding waits for it ends the run with its error") {
  Fixture fixture;
  const int writes = fixture.count(FileOperation::pwrite, ".partial/model");
  const int quarter = GENERATE(1, 2, 3, 4);
  const int wanted = std::max(1, writes * quarter / 4);
  INFO("write " << wanted << " of " << writes);
  const PlantedFault fault([&, seen = 0](const Call& call) mutable {
    if (call.operation != FileOperation::pwrite || call.path.find(".partial/model") == std::string::npos ||
        ++seen != wanted)
      return Interference{};
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return Interference{.error = EIO};
  });
  Reporter silent;
  const Error error = thrown_by([&] { quantize(fixture.options, silent); });
  CHECK(error.fault == Fault::io);
  CHECK_THAT(error.what(), ContainsSubstring(fixture.options.places.output + ".partial/model") &&
                               ContainsSubstring("Input/output error"));
  CHECK_FALSE(exists(fixture.options.places.output));
}

TEST_CASE("a reader that fails while encoding waits for a slow writer ends the run with its error") {
  Fixture fixture;
  const int reads = fixture.count(FileOperation::pread, demo_model + "/model-");
  const int third = GENERATE(1, 2, 3);
  const int wanted = std::max(1, reads * third / 3);
  INFO("read " << wanted << " of " << reads);
  const PlantedFault fault([&, seen = 0](const Call& call) mutable {
    if (call.operation == FileOperation::pwrite && call.path.find(".partial/model") != std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const bool source = call.operation == FileOperation::pread && call.path.find(demo_model + "/model-") == 0;
    return source && ++seen == wanted ? Interference{.error = EIO} : Interference{};
  });
  Reporter silent;
  const Error error = thrown_by([&] { quantize(fixture.options, silent); });
  CHECK(error.fault == Fault::io);
  CHECK_THAT(error.what(), ContainsSubstring(demo_model) && ContainsSubstring("Input/output error"));
  CHECK_FALSE(exists(fixture.options.places.output));
}
