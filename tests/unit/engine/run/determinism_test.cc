// The same bytes whatever the threads, the memory, the way of reading and the interruptions.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;

namespace {

// A model, a scheme and data for it; 64 windows of 64 tokens, so that four blocks of samples go through every layer.
struct Question {
  const char* model;
  const char* scheme;
  bool data;
};

class Fixture {
 public:
  explicit Fixture(const Question& question) {
    const bool demo = std::string(question.model) == "demo";
    if (!demo) write_tiny_llama(folder_.file("model"));
    write_token_rows(folder_.file("ids.safetensors"), 64, 64, demo ? demo_vocabulary : 16);
    options = options_in(folder_, demo ? demo_model : folder_.file("model"), question.scheme,
                         question.data ? folder_.file("ids.safetensors") : "", 64, 64);
  }

  std::uint64_t smallest_limit() const { return test::smallest_limit(options); }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

Question any_question() {
  return GENERATE(Question{"demo", "NVFP4", true}, Question{"demo", "W4A16", true},
                  Question{"demo", "FP8_DYNAMIC", false}, Question{"llama", "NVFP4", true});
}

}  // namespace

TEST_CASE("one, two and seven threads write the same bytes") {
  const Question question = any_question();
  INFO(question.model << " " << question.scheme);
  Fixture fixture(question);
  const Files expected = output_of(fixture.options);
  for (const int threads : {1, 7}) {
    fixture.options.machine.threads = run_threads(threads);
    CHECK(output_of(fixture.options) == expected);
  }
}

TEST_CASE("the smallest memory that works, a little more and any amount give the same bytes") {
  const Question question = any_question();
  INFO(question.model << " " << question.scheme);
  Fixture fixture(question);
  const Files expected = output_of(fixture.options);
  fixture.options.machine.threads = run_threads(7);
  fixture.options.machine.max_memory = fixture.smallest_limit();
  const PlanSummary plan = plan_quantize(fixture.options);
  if (question.data && !sanitized) CHECK(plan.threads == 1);
  if (question.data && !sanitized && question.model == std::string("demo")) CHECK_FALSE(plan.states_in_memory);
  CHECK(output_of(fixture.options) == expected);
  fixture.options.machine.max_memory = fixture.smallest_limit() / 10 * 11;
  CHECK(output_of(fixture.options) == expected);
}

TEST_CASE("every way of reading gives the same bytes") {
  const Question question = any_question();
  INFO(question.model << " " << question.scheme);
  Fixture fixture(question);
  fixture.options.machine.io = IoMethod::pread;
  const Files expected = output_of(fixture.options);
  for (const IoMethod method : {IoMethod::mmap, IoMethod::direct}) {
    fixture.options.machine.io = method;
    try {
      CHECK(output_of(fixture.options) == expected);
    } catch (const Error& error) {
      if (method != IoMethod::direct || error.fault != Fault::io) throw;
      WARN("direct reads do not work here: " << error.what());
    }
    remove_tree(fixture.options.places.output + ".partial");
  }
}

TEST_CASE("a run that is stopped after every layer and goes on writes what an undisturbed one does") {
  const Question question = any_question();
  INFO(question.model << " " << question.scheme);
  Fixture fixture(question);
  const Files expected = output_of(fixture.options);
  std::vector<std::string> layers;
  int runs = 0;
  for (Ended ended = Ended::stopped; ended != Ended::done; ++runs) {
    REQUIRE(runs < 10);
    // Neither threads nor memory nor reading keep a run from going on.
    fixture.options.machine.threads = run_threads(1 + runs % 3);
    fixture.options.machine.max_memory = runs % 2 == 1 ? fixture.smallest_limit() : 0;
    fixture.options.machine.io = runs % 2 == 1 ? IoMethod::mmap : IoMethod::pread;
    Watcher watcher(runs == 0 ? 2 : 1);  // what has no layer yet starts over
    ended = run(fixture.options, watcher);
    layers.insert(layers.end(), watcher.layers.begin(), watcher.layers.end());
  }
  CHECK(files_in(fixture.options.places.output) == expected);
  const std::vector<std::string> each_once =
      question.model == std::string("demo")
          ? std::vector<std::string>{"embedding", "layer 0", "layer 1", "layer 2", "layer 3", "head"}
          : std::vector<std::string>{"embedding", "layer 0", "head"};
  CHECK(layers == each_once);
}

TEST_CASE("hidden states in BF16 give other bytes than in float32, and the same ones in memory and on disk") {
  Fixture fixture({"demo", "NVFP4", true});
  const Files wide = output_of(fixture.options);
  fixture.options.calibration.boundary = BoundaryType::bf16;
  const Files narrow = output_of(fixture.options);
  CHECK(narrow != wide);
  fixture.options.machine.threads = 1;
  fixture.options.machine.max_memory = fixture.smallest_limit();
  CHECK(output_of(fixture.options) == narrow);

  fixture.options.machine.max_memory = 0;
  Watcher half(3), rest;
  REQUIRE(run(fixture.options, half) == Ended::stopped);
  REQUIRE(run(fixture.options, rest) == Ended::done);
  CHECK(rest.layers.size() == 3);
  CHECK(files_in(fixture.options.places.output) == narrow);
}
