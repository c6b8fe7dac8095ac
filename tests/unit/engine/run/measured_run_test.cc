// Whole runs that measure what they write: the figures are those of `strata eval`, whatever the threads, the memory and
// the interruptions.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include "engine/eval/evaluate.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;

namespace {

class Fixture {
 public:
  Fixture() {
    write_token_rows(folder_.file("ids.safetensors"), 6, 24, demo_vocabulary);
    write_token_rows(folder_.file("held.safetensors"), 50, 33, demo_vocabulary - 1);  // other tokens
    options = options_in(folder_, demo_model, "", folder_.file("ids.safetensors"), 6, 24);
    options.mixed = {.bits = 6.0, .formats = {"NVFP4", "MXFP8", "BF16"}, .probes = 2, .max_source_perplexity = 1e9};
    options.assignment.allow_unservable = true;
    options.measure = {.held_out = folder_.file("held.safetensors"), .allow_tail = true};
  }

  // What a run to the end leaves: its output, and measured.json.
  Files all(const QuantizeRequest& request) const {
    Watcher watcher;
    REQUIRE(run(request, watcher) == Ended::done);
    return taken(request);
  }
  static Files taken(const QuantizeRequest& request) {
    Files files = files_in(request.places.output);
    files["measured.json"] = read_text(join_path(request.places.work_directory, "measured.json"));
    remove_tree(request.places.output);
    remove_tree(request.places.work_directory);
    return files;
  }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

const nlohmann::json& candidate(const nlohmann::json& measured, const std::string& name) {
  for (const nlohmann::json& one : measured.at("candidates"))
    if (one.at("name") == name) return one;
  FAIL(name << " was not measured");
  return measured;
}

}  // namespace

TEST_CASE("a run measures of its output what eval measures of it afterwards") {
  const Fixture fixture;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(watcher.said("measured: as served: KL "));
  const auto measured =
      nlohmann::json::parse(read_text(join_path(fixture.options.places.work_directory, "measured.json")));
  Reporter silent;
  const EvaluateResult result = evaluate({.model = fixture.options.places.output,
                                          .against = demo_model,
                                          .tokens = fixture.options.measure.held_out,
                                          .threads = 2},
                                         silent);
  CHECK(measured.at("positions") == result.asked.tokens);
  const nlohmann::json& served = candidate(measured, "as served");
  CHECK(served.at("kl_mean").get<double>() == Approx(result.asked.kl_mean).epsilon(1e-5));
  CHECK(served.at("kl_p99").get<double>() == Approx(result.asked.kl_p99).epsilon(1e-3));
  CHECK(served.at("perplexity").get<double>() == Approx(result.asked.ppl).epsilon(1e-5));
  CHECK(candidate(measured, "weights only").at("kl_mean").get<double>() ==
        Approx(result.weights_only->kl_mean).epsilon(1e-5));
}

TEST_CASE("a format everywhere is measured as an output in that format is") {
  Fixture fixture;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  const auto measured =
      nlohmann::json::parse(read_text(join_path(fixture.options.places.work_directory, "measured.json")));
  Fixture::taken(fixture.options);
  for (const std::string format : {"NVFP4", "MXFP8"}) {
    QuantizeRequest uniform = fixture.options;
    uniform.mixed = {};
    uniform.measure = {};
    uniform.assignment.scheme = format;
    Watcher other;
    REQUIRE(run(uniform, other) == Ended::done);
    Reporter silent;
    const EvaluateResult result = evaluate({.model = uniform.places.output,
                                            .against = demo_model,
                                            .tokens = fixture.options.measure.held_out,
                                            .threads = 2},
                                           silent);
    const nlohmann::json& here = candidate(measured, format + " everywhere");
    CHECK(here.at("kl_mean").get<double>() == Approx(result.asked.kl_mean).epsilon(1e-5));
    const double chosen = candidate(measured, "as served").at("kl_mean").get<double>();
    CHECK(here.at("kl_above_chosen").get<double>() == Approx(result.asked.kl_mean - chosen).epsilon(1e-4));
    remove_tree(uniform.places.output);
    remove_tree(uniform.places.work_directory);
  }
}

TEST_CASE("threads, memory and stops change no figure that is measured") {
  const Fixture fixture;
  const Files expected = fixture.all(fixture.options);
  QuantizeRequest alone = fixture.options;
  alone.machine.threads = 1;
  CHECK(fixture.all(alone) == expected);
  QuantizeRequest small = fixture.options;
  small.machine.max_memory = smallest_limit(fixture.options);
  CHECK(fixture.all(small) == expected);
  for (const int stop : {11, 13, 15, 17}) {  // all but the first in the sweep that measures
    INFO(stop);
    Watcher stopping(stop), again;
    REQUIRE(run(fixture.options, stopping) == Ended::stopped);
    REQUIRE(run(fixture.options, again) == Ended::done);
    CHECK(again.layers.size() <= static_cast<std::size_t>(18 - stop + 2 + 6));  // and the output is read back
    CHECK(again.said("measured: read back, the output has the KL that was measured"));
    CHECK(again.said("measured: as served: KL "));
    CHECK(Fixture::taken(fixture.options) == expected);
  }
}

TEST_CASE("what is measured changes no byte of the output") {
  const Fixture fixture;
  Files measured = fixture.all(fixture.options);
  measured.erase("measured.json");
  QuantizeRequest without = fixture.options;
  without.measure = {};
  measured.erase("strata/measured.json");
  CHECK(output_of(without) == measured);
}

TEST_CASE("a run that measures goes on where one stopped that did not") {
  const Fixture fixture;
  QuantizeRequest without = fixture.options;
  without.measure = {};
  Watcher stopping(15), again;
  REQUIRE(run(without, stopping) == Ended::stopped);
  REQUIRE(run(fixture.options, again) == Ended::done);
  CHECK(again.layers.size() == 6 + 6);  // the last sweep begins anew, now with states; and the output is read back
}

TEST_CASE("an output that is not what was measured does not appear") {
  const Fixture fixture;
  Watcher stopping(18 + 2);  // while the output is read back
  REQUIRE(run(fixture.options, stopping) == Ended::stopped);
  const std::string file = join_path(fixture.options.places.work_directory, "measured.json");
  auto measured = nlohmann::json::parse(read_text(file));
  nlohmann::json& kl = measured.at("candidates").at(0).at("kl_mean");
  const double was = kl.get<double>();
  kl = was * (1 + 1e-4);
  write_text(file, measured.dump());
  Watcher again;
  const Error error = thrown_by([&] { run(fixture.options, again); });
  CHECK(error.fault == Fault::check);
  CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("read back, its KL is"));
  CHECK(!exists(fixture.options.places.output));
  kl = was;
  write_text(file, measured.dump());
  REQUIRE(run(fixture.options, again) == Ended::done);
}

TEST_CASE("a run measures a model whose head is its embedding") {
  Fixture fixture;
  const TemporaryFolder folder;
  write_tiny_llama(folder.file("model"), {.tied = true});
  write_token_rows(folder.file("ids.safetensors"), 6, 24, 16);
  write_token_rows(folder.file("held.safetensors"), 50, 33, 15);  // other tokens
  fixture.options.places.model = folder.file("model");
  fixture.options.calibration.dataset = folder.file("ids.safetensors");
  fixture.options.measure.held_out = folder.file("held.safetensors");
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  const auto measured =
      nlohmann::json::parse(read_text(join_path(fixture.options.places.work_directory, "measured.json")));
  Reporter silent;
  const EvaluateResult result = evaluate({.model = fixture.options.places.output,
                                          .against = folder.file("model"),
                                          .tokens = fixture.options.measure.held_out,
                                          .threads = 2},
                                         silent);
  CHECK(candidate(measured, "as served").at("kl_mean").get<double>() == Approx(result.asked.kl_mean).epsilon(1e-5));
}
