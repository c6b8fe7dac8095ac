// Whole runs that measure several budgets: each choice as an output of its own would be, one of them taken on windows
// that the result is not told of, whatever the threads, the memory and the interruptions.
#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/eval/evaluate.h"
#include "engine/measure/measured_windows.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

class Fixture {
 public:
  Fixture() {
    write_token_rows(folder_.file("ids.safetensors"), 6, 24, demo_vocabulary);
    write_token_rows(folder_.file("held.safetensors"), 48, 33, demo_vocabulary - 1);  // other tokens
    options = options_in(folder_, demo_model, "", folder_.file("ids.safetensors"), 6, 24);
    options.mixed = {.pareto = BitRange{5, 15, 2.5},
                     .formats = {"NVFP4", "MXFP8", "BF16"},
                     .probes = 2,
                     .max_source_perplexity = 1e9};
    options.assignment.allow_unservable = true;
    options.measure = {.held_out = folder_.file("held.safetensors"), .allow_tail = true};
  }

  Files all(const QuantizeRequest& request) const {
    Watcher watcher;
    REQUIRE(run(request, watcher) == Ended::done);
    return taken(request);
  }
  // What a run to the end leaves: its output, and what it measured.
  static Files taken(const QuantizeRequest& request) {
    Files files = files_in(request.places.output);
    for (const char* const name : {"measured.json", "pareto.csv", "costs.csv", "assignment.json"})
      if (const std::string path = join_path(request.places.work_directory, name); is_regular_file(path))
        files[name] = read_text(path);
    remove_tree(request.places.output);
    remove_tree(request.places.work_directory);
    return files;
  }
  nlohmann::json measured() const {
    return nlohmann::json::parse(read_text(join_path(options.places.work_directory, "measured.json")));
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

// The rows of a token file that are of these thirds.
void write_thirds(const std::string& from, const std::string& to, const std::vector<Third>& thirds) {
  const TokenRows all = read_token_file(from);
  TokenRows some{.columns = all.columns};
  for (std::int64_t r = 0; r < all.rows; ++r) {
    if (std::ranges::find(thirds, third_of(r)) == thirds.end()) continue;
    some.ids.insert(some.ids.end(), all.row(r), all.row(r) + all.columns);
    some.lengths.push_back(all.lengths[static_cast<std::size_t>(r)]);
    ++some.rows;
  }
  write_token_file(to, some);
}

// Groups of experts are as large as memory allows, and scores add up group by group in float32.
Files without_predictions(Files files) {
  for (const char* const name : {"pareto.csv", "costs.csv"}) files.erase(name);
  nlohmann::json measured = nlohmann::json::parse(files.at("measured.json"));
  measured.erase("predicted_beside_measured");
  for (nlohmann::json& point : measured.at("frontier")) {
    point.erase("predicted_kl");
    point.erase("predicted_standard_error");
  }
  files["measured.json"] = measured.dump();
  return files;
}

double kl_of(const QuantizeRequest& run, const std::string& tokens) {
  Reporter silent;
  return evaluate({.model = run.places.output, .against = run.places.model, .tokens = tokens, .threads = 2}, silent)
      .asked.kl_mean;
}

}  // namespace

TEST_CASE("each budget is measured as an output of that budget is, and that on windows of its own") {
  const Fixture fixture;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(watcher.said("frontier: predicted beside measured, 5 choices: Spearman"));
  CHECK(watcher.said("chosen point: "));
  CHECK(watcher.layers.size() == 6 * 4 + 6);  // there, back, to choose, to write; and the output is read back
  const nlohmann::json measured = fixture.measured();
  const nlohmann::json points = measured.at("frontier");
  REQUIRE(points.size() == 5);
  const std::string held_out = fixture.options.measure.held_out, others = fixture.file("others.safetensors"),
                    told = fixture.file("told.safetensors"), first = fixture.file("first.safetensors");
  write_thirds(held_out, others, {Third::select, Third::confirm});
  write_thirds(held_out, first, {Third::select});
  write_thirds(held_out, told, {Third::report});
  std::size_t chosen = 0;
  for (const nlohmann::json& point : points) chosen += point.at("chosen").get<bool>() ? 1 : 0;
  CHECK(chosen == 1);
  CHECK(measured.at("candidates").at(0).at("kl_mean").get<double>() ==
        Approx(kl_of(fixture.options, told)).epsilon(1e-5));
  CHECK(measured.at("positions") == 16 * 32);
  const Files written = Fixture::taken(fixture.options);
  for (const nlohmann::json& point : points) {
    QuantizeRequest one = fixture.options;
    one.mixed.pareto.reset();
    one.mixed.bits = point.at("bits_asked").at(0);
    one.measure = {};
    Watcher alone;
    REQUIRE(run(one, alone) == Ended::done);
    CHECK(point.at("kl_mean").get<double>() == Approx(kl_of(one, others)).epsilon(1e-5));
    CHECK(point.at("kl_where_chosen").get<double>() == Approx(kl_of(one, first)).epsilon(1e-5));
    if (point.at("chosen").get<bool>())
      for (const auto& [name, bytes] : files_in(one.places.output)) CHECK(written.at(name) == bytes);
    remove_tree(one.places.output);
    remove_tree(one.places.work_directory);
  }
}

TEST_CASE("beside a budget the others are measured in the same visit, and that one is written") {
  Fixture fixture;
  fixture.options.mixed.bits = 7.5;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(watcher.layers.size() == 6 * 3 + 6);
  const nlohmann::json measured = fixture.measured();
  CHECK(measured.at("positions") == 48 * 32);
  REQUIRE(measured.at("frontier").size() == 5);
  const nlohmann::json& same = measured.at("frontier").at(1);
  CHECK(same.at("bits_asked") == nlohmann::json::array({7.5}));
  CHECK(!same.contains("chosen"));
  const nlohmann::json& served = measured.at("candidates").at(0);
  CHECK(same.at("bytes") == served.at("bytes"));
  CHECK(same.at("kl_mean").get<double>() == Approx(served.at("kl_mean").get<double>()).epsilon(1e-12));
  const Files with = Fixture::taken(fixture.options);
  fixture.options.mixed.pareto.reset();
  fixture.options.measure = {};
  for (const auto& [name, bytes] : output_of(fixture.options)) CHECK(with.at(name) == bytes);
}

TEST_CASE("budgets that lead to one choice are one lane") {
  Fixture fixture;
  fixture.options.mixed.pareto = BitRange{16, 18, 1};  // all in BF16
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  const nlohmann::json points = fixture.measured().at("frontier");
  REQUIRE(points.size() == 1);
  CHECK(points.at(0).at("bits_asked") == nlohmann::json::array({16, 17, 18}));
  CHECK(std::abs(points.at(0).at("kl_mean").get<double>()) < 1e-9);  // it is the source
}

TEST_CASE("threads, memory and stops change nothing of what is measured and chosen") {
  Fixture fixture;
  fixture.options.mixed.pareto = BitRange{5, 9, 2};
  const Files expected = fixture.all(fixture.options);
  QuantizeRequest alone = fixture.options;
  alone.machine.threads = 1;
  CHECK(fixture.all(alone) == expected);
  QuantizeRequest small = fixture.options;
  small.machine.max_memory = smallest_limit(fixture.options) + (4u << 20);  // the process has grown meanwhile
  CHECK(without_predictions(fixture.all(small)) == without_predictions(expected));
  for (const int stop : {11, 12, 13, 16, 18, 19, 22, 25}) {
    INFO(stop);
    Watcher stopping(stop), again;
    REQUIRE(run(fixture.options, stopping) == Ended::stopped);
    REQUIRE(run(fixture.options, again) == Ended::done);
    CHECK(again.layers.size() <= static_cast<std::size_t>(24 - stop + 2 + 6));
    CHECK(Fixture::taken(fixture.options) == expected);
  }
}

TEST_CASE("too few windows to cut in three are told with how many would do") {
  Fixture fixture;
  fixture.options.measure.tokens = 5 * 32;
  const Error error = thrown_by([&] { output_of(fixture.options); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("has 5 windows") && ContainsSubstring("6 are needed"));
}

// Two windows and one probe choose badly enough that there is something to mend.
TEST_CASE("exchanges that are confirmed are written, whatever stops and threads") {
  const TemporaryFolder folder;
  const std::string model = in_source("tests/golden/models/qwen3"), ids = folder.file("ids.safetensors"),
                    held_out = folder.file("held.safetensors"), confirm = folder.file("confirm.safetensors");
  write_token_rows(ids, 2, 16, 128);
  write_token_rows(held_out, 120, 33, 127);
  QuantizeRequest options = options_in(folder, model, "", ids, 2, 16);
  options.mixed = {
      .bits = 7, .polish = 8, .formats = {"NVFP4", "MXFP8", "BF16"}, .probes = 1, .max_source_perplexity = 1e9};
  options.assignment.allow_unservable = true;
  options.measure = {.held_out = held_out, .allow_tail = true};
  Watcher watcher;
  REQUIRE(run(options, watcher) == Ended::done);
  CHECK(watcher.layers.size() == 4 * 4 + 4);  // four visits, and the output is read back
  UNSCOPED_INFO(watcher.all_decisions());
  const nlohmann::json measured =
      nlohmann::json::parse(read_text(join_path(options.places.work_directory, "measured.json")));
  std::vector<nlohmann::json> taken;
  for (const nlohmann::json& move : measured.at("polish")) {
    CHECK((!move.at("taken").get<bool>() || move.at("p").get<double>() <= 0.05 / 8));
    if (move.at("taken").get<bool>()) taken.push_back(move);
  }
  REQUIRE(taken.size() == 1);
  CHECK(watcher.said("polish: 8 exchanges tried, 1 taken"));
  write_thirds(held_out, confirm, {Third::confirm});
  const double polished = kl_of(options, confirm);
  const Files expected = Fixture::taken(options);
  for (const int stop : {4, 8, 10, 12, 14, 17}) {
    INFO(stop);
    Watcher stopping(stop), again;
    REQUIRE(run(options, stopping) == Ended::stopped);
    REQUIRE(run(options, again) == Ended::done);
    CHECK(Fixture::taken(options) == expected);
  }
  QuantizeRequest alone = options;
  alone.machine.threads = 1;
  REQUIRE(run(alone, watcher) == Ended::done);
  CHECK(Fixture::taken(alone) == expected);
  // Measured as two outputs, the gain is what the run said, on windows that had no part in finding it.
  options.mixed.polish = 0;
  REQUIRE(run(options, watcher) == Ended::done);
  CHECK(kl_of(options, confirm) - polished == Approx(taken.front().at("confirmed_gain").get<double>()).epsilon(1e-3));
  CHECK(Fixture::taken(options).at("assignment.json") != expected.at("assignment.json"));
}
