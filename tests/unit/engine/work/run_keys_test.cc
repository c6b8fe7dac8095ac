// What the results of a run are computed from: everything that decides about a byte is in the key, and nothing else.
#include "engine/work/run_keys.h"

#include <catch2/catch_test_macros.hpp>

#include "engine/device/compute.h"
#include "engine/graph/facts.h"
#include "engine/run/calibration.h"
#include "engine/run/prepare.h"
#include "tests/support/named_linear.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

using namespace strata;

namespace {

class Fixture {
 public:
  Fixture() {
    test::write_tiny_llama(folder_.file("model"));
    test::write_token_rows(folder_.file("ids.safetensors"), 4, 8, 16);
    options = {.places = {.model = folder_.file("model"),
                          .output = folder_.file("out"),
                          .work_directory = folder_.file("out.work")},
               .assignment = {.scheme = "NVFP4"},
               .calibration = {.dataset = folder_.file("ids.safetensors"), .nsamples = 4, .seqlen = 8}};
    plan.emplace(prepare(options, session_));
    tokens_ = calibration_tokens(options.calibration, plan->model);
  }
  RunKeys keys() const {
    RunKeys keys(*plan, options, &tokens_);
    keys.add_sweeps(*plan, options, 0, 1);
    return keys;
  }

  QuantizeRequest options;
  std::optional<RunPlan> plan;

 private:
  test::TemporaryFolder folder_;
  ComputeSession session_{"cpu", 2};
  TokenRows tokens_;
};

using Lines = std::vector<std::string>;

const std::vector<Fingerprint>& steps_of(const RunKeys& keys) { return keys.sweep(0).steps; }
const std::vector<Fingerprint>& boundaries_of(const RunKeys& keys) { return keys.sweep(0).of(facts::boundary); }

}  // namespace

TEST_CASE("the kind of the device is in every key, its number is not") {
  Fixture fixture;
  const RunKeys cpu = fixture.keys();
  fixture.options.machine.device = "cuda:1";
  const RunKeys one = fixture.keys();
  fixture.options.machine.device = "cuda";
  const RunKeys any = fixture.keys();
  const Lines device = {"device: cpu -> cuda"};
  CHECK(one.run.differences(cpu.run) == device);
  CHECK(one.run.differences(any.run).empty());
  for (std::size_t i = 0; i < steps_of(cpu).size(); ++i) {
    INFO(cpu.names[i]);
    CHECK(steps_of(one)[i].differences(steps_of(cpu)[i]).front() == device.front());
    CHECK(steps_of(one)[i].hash() == steps_of(any)[i].hash());
    CHECK(boundaries_of(one)[i + 1].differences(boundaries_of(cpu)[i + 1]).size() >= 1);
  }
  CHECK(boundaries_of(one)[0].hash() == boundaries_of(cpu)[0].hash());  // tokens are the same anywhere
}

TEST_CASE("another version of a format, or as many of it elsewhere, is another run") {
  Fixture fixture;
  const RunKeys before = fixture.keys();
  const std::string one = "model.layers.0.mlp.down_proj";
  const NumberFormat*& format =
      fixture.plan->assignment->formats.at(test::linear_named(fixture.plan->model, one).index);
  NumberFormat newer = *format;
  ++newer.version;
  format = &newer;
  const RunKeys after = fixture.keys();
  const Lines lines = after.run.differences(before.run);
  REQUIRE(lines.size() == 1);
  CHECK(lines.front().starts_with("assignment: "));
  CHECK(steps_of(after)[0].hash() == steps_of(before)[0].hash());
  CHECK(steps_of(after)[1].differences(steps_of(before)[1]).front().starts_with("formats: "));
}

TEST_CASE("threads, memory, reading, tracing and logging are in no key") {
  Fixture fixture;
  const RunKeys before = fixture.keys();
  fixture.options.machine.threads = 7;
  fixture.options.machine.max_memory = std::uint64_t{1} << 40;
  fixture.options.machine.io = IoMethod::mmap;
  fixture.options.places.trace = "trace.json";
  fixture.options.resume.explain = true;
  fixture.options.resume.deadline = 5;
  const RunKeys after = fixture.keys();
  CHECK(after.run.hash() == before.run.hash());
  for (std::size_t i = 0; i < steps_of(before).size(); ++i)
    CHECK(steps_of(after)[i].hash() == steps_of(before)[i].hash());
}

TEST_CASE("the instruction set that libtorch uses is in the keys of what it computes, and in no others") {
  Fixture fixture;
  const RunKeys with_data = fixture.keys();
  CHECK(with_data.run.value("libtorch") == libtorch_arithmetic());
  CHECK_FALSE(libtorch_arithmetic().ends_with(' '));
  for (std::size_t i = 1; i < steps_of(with_data).size(); ++i)
    CHECK(boundaries_of(with_data)[i].value("libtorch") == libtorch_arithmetic());

  fixture.options.assignment.scheme = "W4A16";
  fixture.options.calibration.dataset.clear();
  const ComputeSession session("cpu", 2);
  const RunPlan plan = prepare(fixture.options, session);
  RunKeys without(plan, fixture.options, nullptr);
  without.add_sweeps(plan, fixture.options, 0, 1);
  CHECK_FALSE(without.run.value("libtorch"));
  for (const Fingerprint& step : steps_of(without)) CHECK_FALSE(step.value("libtorch"));
}
