// What a run that chooses formats leaves of its choice in the output: whole, true, and only where it is wanted.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include "engine/check/verify.h"
#include "engine/plan/assignment_file.h"
#include "engine/prices/prices_file.h"
#include "engine/work/work_place.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

class Fixture {
 public:
  Fixture() {
    write_token_rows(folder_.file("ids.safetensors"), 6, 24, demo_vocabulary);
    write_token_rows(folder_.file("held.safetensors"), 50, 33, demo_vocabulary - 1);  // other tokens
    options = options_in(folder_, demo_model, "", folder_.file("ids.safetensors"), 6, 24);
    options.mixed = {.bits = 6.0, .formats = {"NVFP4", "MXFP8", "BF16"}, .probes = 2, .max_source_perplexity = 1e9};
    options.assignment.allow_unservable = true;
    options.measure.allow_tail = true;
  }

  void measure() { options.measure.held_out = folder_.file("held.safetensors"); }
  std::string other(const std::string& name) const { return folder_.file(name); }
  std::string work(std::string_view name) const { return join_path(options.places.work_directory, name); }
  std::string record(std::string_view name) const {
    return join_path(join_path(options.places.output, "strata"), name);
  }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

std::uint64_t tensor_bytes(const OpenModel& output, const std::string& module) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : output.checkpoint.tensors())
    if (tensor.name.starts_with(module + ".")) bytes += tensor.bytes;
  return bytes;
}

std::string fact(const Watcher& watcher, std::string_view key) {
  const auto found = std::ranges::find(watcher.end.facts, key, &std::pair<std::string, std::string>::first);
  return found == watcher.end.facts.end() ? "none" : found->second;
}

}  // namespace

TEST_CASE("an output says of each Linear what it takes, what that costs and why, and passes verify") {
  Fixture fixture;
  fixture.measure();
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  for (const char* const name : {"assignment.json", "costs.csv", "prices.json", "measured.json"}) {
    INFO(name);
    CHECK(read_text(fixture.record(name)) == read_text(fixture.work(name)));
  }
  CHECK(!exists(fixture.record("pareto.csv")));
  const Prices prices = read_prices(fixture.record("prices.json"));
  const auto json = nlohmann::json::parse(read_text(fixture.record("assignment.json")));
  CHECK(json.at("prices") == prices.made_from.hash());
  const OpenModel output = open_model(fixture.options.places.output);
  CHECK(json.at("linears").size() == output.linears.size());
  std::map<std::string, std::uint64_t> units;
  for (const auto& [module, said] : json.at("linears").items()) {
    INFO(module);
    CHECK(said.at("bytes") == tensor_bytes(output, module));
    if (said.contains("unit"))
      units[said.at("unit")] += said.at("bytes").get<std::uint64_t>();
    else
      CHECK(said.at("why") == "kept unless it is asked for");
  }
  CHECK(units.size() == prices.units.size());
  for (const PricedUnit& unit : prices.units) {
    const auto& said = json.at("linears").at(unit.name);
    const auto option = std::ranges::find(unit.options, said.at("format").get<std::string>(),
                                          [](const PricedOption& one) { return one.format->name; });
    REQUIRE(option != unit.options.end());
    CHECK(units.at(unit.name) == option->bytes);
    CHECK(said.at("cost").get<double>() == option->output.cost);
    CHECK(said.at("why") == "chosen");
  }
  // It can be given back as it is.
  CHECK(AssignmentFile::read(fixture.record("assignment.json")).format_of("lm_head")->verbatim);
  CHECK_THAT(fact(watcher, "measured KL"), ContainsSubstring(", predicted ") && ContainsSubstring(" of it"));
  CHECK_THAT(fact(watcher, "KL of NVFP4 everywhere"), ContainsSubstring(" bits"));
}

TEST_CASE("records stay out where they are not wanted, and change nothing else") {
  Fixture fixture;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  Files with = files_in(fixture.options.places.output);
  CHECK(!exists(fixture.record("measured.json")));
  remove_tree(fixture.options.places.output);
  remove_tree(fixture.options.places.work_directory);
  fixture.options.places.no_records = true;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(!exists(join_path(fixture.options.places.output, "strata")));
  std::erase_if(with, [](const auto& file) { return file.first.starts_with("strata"); });
  CHECK(files_in(fixture.options.places.output) == with);
}

TEST_CASE("what another run kept makes an output with the records of that choice") {
  Fixture fixture;
  fixture.options.mixed.store = Store::all;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  QuantizeRequest from = fixture.options;
  from.calibration = {};
  from.mixed = {.bits = 6.0, .from = fixture.options.places.work_directory};
  from.rounding.method = "scale-search";
  from.places.output = fixture.other("second");
  from.places.work_directory = fixture.other("second.work");
  REQUIRE(run(from, watcher) == Ended::done);
  CHECK(files_in(from.places.output) == files_in(fixture.options.places.output));
  // Prices that are not those of the model.
  const std::string path = fixture.work("prices.json"), text = read_text(path);
  Prices prices = read_prices(path);
  for (PricedOption& option : prices.units.front().options) option.bytes -= 8;
  write_text(path, prices_json(prices));
  from.places.output = fixture.other("third");
  from.places.work_directory = fixture.other("third.work");
  Watcher refused;
  CHECK_THAT(thrown_by([&] { run(from, refused); }).what(), ContainsSubstring("it was changed: run again with -b"));
  prices = read_prices(path);
  prices.linears.erase(std::ranges::find(prices.linears, "lm_head", &PricedLinear::module));
  write_text(path, prices_json(prices));
  CHECK_THAT(thrown_by([&] { run(from, refused); }).what(), ContainsSubstring("says nothing of lm_head"));
  CHECK(!exists(from.places.output));
  write_text(path, text);
  {
    const FileLock lock = lock_work_directory(fixture.options.places.work_directory);
    CHECK_THAT(thrown_by([&] { run(from, refused); }).what(), ContainsSubstring("a run works there just now"));
  }
  REQUIRE(run(from, refused) == Ended::done);
}

TEST_CASE("what was measured of another choice goes when the choice is made anew") {
  Fixture fixture;
  fixture.measure();
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  remove_tree(fixture.options.places.output);
  write_text(fixture.work("measured.json"), "of another run");
  fixture.options.mixed.bits = 7;
  fixture.options.measure = {};
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(!exists(fixture.work("measured.json")));
}
