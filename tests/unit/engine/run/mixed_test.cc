// Whole runs that choose their formats within a budget: what they keep, where they go on, and that nothing but the
// question decides about the bytes.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <set>

#include "engine/check/verify.h"
#include "engine/plan/assignment_file.h"
#include "engine/prices/allocation_summary.h"
#include "engine/prices/price_tables.h"
#include "engine/prices/prices_file.h"
#include "tests/support/coded_llama.h"
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
    options = options_in(folder_, demo_model, "", folder_.file("ids.safetensors"), 6, 24);
    options.mixed = {.bits = 6.0, .formats = {"NVFP4", "MXFP8", "BF16"}, .probes = 3, .max_source_perplexity = 1e9};
    options.assignment.allow_unservable = true;
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

// The choice that prices give is the one that was written.
void require_written(const Prices& prices, const Allocation& chosen, const std::string& work) {
  const AssignmentFile written = AssignmentFile::read(join_path(work, "assignment.json"));
  for (const PricedLinear& linear : prices.linears)
    CHECK(written.format_of(linear.module) ==
          (linear.unit == PricedLinear::not_chosen
               ? linear.format
               : prices.units[linear.unit].options[chosen.option[linear.unit]].format));
}

}  // namespace

TEST_CASE("a budget is met from below, and more of it changes what is chosen") {
  Fixture fixture;
  Watcher watcher;
  const PlanSummary plan = plan_quantize(fixture.options);
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(folder_bytes(fixture.options.places.output) <= plan.output_bytes);
  CHECK(plan.output_bytes < plan.source_bytes);
  CHECK(plan.bytes_read == 3 * plan.source_bytes);
  CHECK(watcher.said("of 6 bits per parameter over 12 units"));
  const OpenModel output = open_model(fixture.options.places.output);
  std::uint64_t bytes = 0, parameters = 0, quantized = 0;
  for (const LinearPlan& linear : output.linears) {
    if (linear.spec->kind != LinearClass::quantize || linear.spec->module == "lm_head") continue;
    parameters += static_cast<std::uint64_t>(linear.spec->out * linear.spec->in);
    quantized += linear.stored.dense() ? 0 : 1;
    for (const TensorInfo* tensor : linear.tensors) bytes += tensor->bytes;
  }
  const double bits = 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
  CHECK(bits <= 6.0);
  CHECK(bits > 5.5);  // within the step of one unit of the demo's twelve
  CHECK(quantized > 0);
  CHECK(verify({.model = fixture.options.places.output}).failures.empty());

  const Files six = files_in(fixture.options.places.output);
  remove_tree(fixture.options.places.output);
  fixture.options.mixed.bits = 16;
  CHECK(output_of(fixture.options) != six);
}

TEST_CASE("a budget in bytes counts every tensor, and the prices of a run choose as it did") {
  Fixture fixture;
  fixture.options.mixed.bits = 0;
  fixture.options.mixed.size = 1'900'000;
  Reporter silent;
  quantize(fixture.options, silent);
  const std::uint64_t bytes = open_model(fixture.options.places.output).checkpoint.total_bytes();
  CHECK(bytes <= 1'900'000);
  CHECK(bytes > 1'700'000);  // an expert unit is a tenth of it
  const Prices prices = read_prices(join_path(fixture.options.places.work_directory, "prices.json"));
  const Allocation again = allocate(prices, fixture.options.mixed);
  CHECK(prices.other_bytes + again.bytes == bytes);
  require_written(prices, again, fixture.options.places.work_directory);
  CHECK(costs_csv(prices, again) == read_text(join_path(fixture.options.places.work_directory, "costs.csv")));
  CHECK(prices.sequences == 6);
  CHECK(prices.tokens == 6 * 24);

  remove_tree(fixture.options.places.output);
  fixture.options.mixed.size = 1'000'000;
  const Error error = thrown_by([&] { quantize(fixture.options, silent); });
  CHECK(error.fault == Fault::usage);
  CHECK_THAT(error.what(), ContainsSubstring("say --target-size 15"));
}

TEST_CASE("threads and memory change no byte of what is chosen, and neither do stops") {
  Fixture fixture;
  const Files expected = output_of(fixture.options);
  QuantizeRequest alone = fixture.options;
  alone.machine.threads = 1;
  CHECK(output_of(alone) == expected);
  QuantizeRequest small = fixture.options;
  small.machine.disk = plan_quantize(fixture.options).work_disk;
  small.machine.max_memory = smallest_limit(fixture.options);
  CHECK(output_of(small) == expected);
  // 6 visits forward, 6 back, 6 to assemble: in each sweep, and between them.
  for (const int stop : {3, 6, 8, 11, 12, 15}) {
    INFO(stop);
    Watcher stopping(stop);
    REQUIRE(run(fixture.options, stopping) == Ended::stopped);
    Watcher again;
    REQUIRE(run(fixture.options, again) == Ended::done);
    CHECK(again.layers.size() <= static_cast<std::size_t>(18 - stop + 2));
    CHECK(files_in(fixture.options.places.output) == expected);
    remove_tree(fixture.options.places.output);
    remove_tree(fixture.options.places.work_directory);
  }
}

TEST_CASE("another budget in the same work folder takes over the scores") {
  Fixture fixture;
  Watcher stopping(13);  // in the last sweep
  REQUIRE(run(fixture.options, stopping) == Ended::stopped);
  fixture.options.mixed.bits = 9;
  Watcher again;
  REQUIRE(run(fixture.options, again) == Ended::done);
  CHECK(again.layers.size() == 6);  // only the last one
  const Files files = files_in(fixture.options.places.output);
  remove_tree(fixture.options.places.output);
  remove_tree(fixture.options.places.work_directory);
  CHECK(output_of(fixture.options) == files);
}

TEST_CASE("a budget that cannot be met is refused with one that can") {
  Fixture fixture;
  fixture.options.mixed.bits = 3;
  Reporter silent;
  const Error error = thrown_by([&] { quantize(fixture.options, silent); });
  CHECK(error.fault == Fault::usage);
  CHECK_THAT(error.what(), ContainsSubstring("; say -b 4.5"));
  const std::string text = error.what();
  fixture.options.mixed.bits = std::stod(text.substr(text.rfind(' ') + 1));
  CHECK(plan_quantize(fixture.options).sweeps.size() == 4);
  fixture.options.mixed.formats = {"NVFP4", "NVFP4"};
  CHECK(thrown_by([&] { quantize(fixture.options, silent); }).fault == Fault::usage);
}

TEST_CASE("the perplexity of the source is told whatever the threads, after a stop too, and a lower limit refuses it") {
  Fixture fixture;
  const auto told = [](const Watcher& watcher) {
    std::string line;
    for (const std::string& decision : watcher.decisions)
      if (decision.starts_with("source: perplexity ")) line += decision;
    return line;
  };
  fixture.options.machine.threads = 1;
  Watcher stopping(8);  // in the sweep back
  REQUIRE(run(fixture.options, stopping) == Ended::stopped);
  REQUIRE(told(stopping).ends_with(" on the calibration text (limit 1e+09)"));
  QuantizeRequest lower = fixture.options;
  lower.mixed.max_source_perplexity = 2;
  Watcher refused;
  const Error error = thrown_by([&] { run(lower, refused); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("above the limit of 2: "));
  CHECK(refused.layers.empty());  // the forward counts, and nothing was priced
  fixture.options.machine.threads = run_threads(2);
  Watcher again;
  REQUIRE(run(fixture.options, again) == Ended::done);
  CHECK(told(again) == told(stopping));
}

TEST_CASE("codes of the source are priced with what their inputs lose, and copied") {
  const TemporaryFolder folder;
  write_coded_llama(folder.file("model"), fp8_blocks, 256, block_coded);
  write_token_rows(folder.file("ids.safetensors"), 6, 24, 16);
  QuantizeRequest options = options_in(folder, folder.file("model"), "", folder.file("ids.safetensors"), 6, 24);
  options.mixed = {
      .bits = 8.3, .formats = {"NVFP4A16", "FP8_SOURCE", "BF16"}, .probes = 3, .max_source_perplexity = 1e9};
  options.assignment.ignore = {"*self_attn*", "*gate_proj", "*up_proj"};  // with 128 columns, which are not copied
  Watcher watcher;
  REQUIRE(run(options, watcher) == Ended::done);
  const Prices prices = read_prices(join_path(options.places.work_directory, "prices.json"));
  REQUIRE(prices.units.size() == 1);
  const std::vector<PricedOption>& priced = prices.units[0].options;
  REQUIRE(priced.size() == 3);
  CHECK(priced[1].output.cost > 0);
  CHECK(priced[1].output.cost < priced[0].output.cost);
  CHECK(priced[1].fisher_trace.cost == 0);  // no weight changes
  const Checkpoint source = Checkpoint::open(folder.file("model")), output = Checkpoint::open(options.places.output);
  const std::string down = "model.layers.0.mlp.down_proj.";
  std::vector<std::byte> before(128 * 256), after(128 * 256);
  source.read(source.at(down + "weight"), before);
  output.read(output.at(down + "weight"), after);
  CHECK(before == after);
  CHECK(output.find(down + "weight_scale") != nullptr);
}

TEST_CASE("with transformers the experts of all layers get one format, from the prices too") {
  Fixture fixture;
  fixture.options.assignment.allow_unservable = false;
  fixture.options.mixed = {.bits = 7.0,
                           .formats = {"MXFP4A16", "W8A16", "BF16"},
                           .probes = 3,
                           .runtime = Runtime::transformers,
                           .max_source_perplexity = 1e9};
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  std::set<std::string> formats;
  for (const LinearPlan& linear : open_model(fixture.options.places.output).linears)
    if (linear.spec->module.find(".experts.") != std::string::npos) formats.insert(linear.stored.text());
  CHECK(formats.size() == 1);
  const Prices prices = read_prices(join_path(fixture.options.places.work_directory, "prices.json"));
  CHECK(std::ranges::count(prices.units, true, &PricedUnit::tied) == 4);
  CHECK(prices.choices().size() == 9);  // two units of attention in each of four layers, and the experts
  CHECK(prices.bits(allocate(prices, fixture.options.mixed).bytes) <= 7.0);
  require_written(prices, allocate(prices, fixture.options.mixed), fixture.options.places.work_directory);
}

TEST_CASE("experts that no token reached are named, and their layer is priced by the others") {
  Fixture fixture;
  write_token_rows(fixture.file("few.safetensors"), 1, 4, demo_vocabulary);
  fixture.options.calibration.dataset = fixture.file("few.safetensors");
  fixture.options.calibration.nsamples = 1;
  fixture.options.calibration.seqlen = 4;
  fixture.options.mixed.max_source_perplexity = 1e12;  // of four tokens at random
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  CHECK(watcher.said("layer 0: no token of the data reached model.layers.0.mlp.experts "));  // 4 tokens of 2 experts
  const Prices prices = read_prices(join_path(fixture.options.places.work_directory, "prices.json"));
  CHECK(prices.units.size() == 12);
  CHECK(prices.unseen_bytes == 0);
}

TEST_CASE("experts that have a format each are written and read back so, and those without tokens get the smallest") {
  Fixture fixture;
  write_token_rows(fixture.file("few.safetensors"), 1, 4, demo_vocabulary);
  fixture.options.calibration.dataset = fixture.file("few.safetensors");
  fixture.options.calibration.nsamples = 1;
  fixture.options.calibration.seqlen = 4;
  fixture.options.mixed.max_source_perplexity = 1e12;  // of four tokens at random
  fixture.options.mixed.formats = {"NVFP4A16", "MXFP8A16", "BF16"};
  fixture.options.mixed.bits = 10;  // more than the smallest that those without tokens get
  fixture.options.assignment.per_expert = true;
  Watcher watcher;
  REQUIRE(run(fixture.options, watcher) == Ended::done);
  const Prices prices = read_prices(join_path(fixture.options.places.work_directory, "prices.json"));
  CHECK(prices.units.size() < 40);  // two units of attention and 8 experts in each of 4 layers; some have no token
  CHECK(prices.units.size() >= 16);
  std::size_t aside = 0;
  const OpenModel output = open_model(fixture.options.places.output);
  std::set<std::string> formats;
  for (const PricedLinear& linear : prices.linears) {
    const auto stored = std::ranges::find(output.linears, linear.module,
                                          [](const LinearPlan& one) -> const std::string& { return one.spec->module; });
    REQUIRE(stored != output.linears.end());
    if (linear.why.find("no token") != std::string::npos) {
      CHECK(stored->stored.text() == "NVFP4A16");
      ++aside;
    }
    if (linear.module.starts_with("model.layers.0.mlp.experts.")) formats.insert(stored->stored.text());
  }
  // By hand: half a byte a weight, one for 16, and a global scale of 4, of 128 x 128 weights.
  CHECK(prices.unseen_bytes == aside * (128 * 128 / 2 + 128 * 128 / 16 + 4));
  CHECK(aside == 3 * (40 - prices.units.size()));
  CHECK(formats.size() > 1);
  CHECK(watcher.said("they have no price, get their smallest format by rule, and their "));
  CHECK(watcher.said("several formats within the layer as allowed"));
  CHECK_FALSE(verify({.model = fixture.options.places.output}).failures.empty());  // no loader takes it
}
