// Values that are not finite: found wherever they are, and told with where they left.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/not_finite.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>
#include <optional>
#include <vector>

#include "engine/eval/evaluate.h"
#include "engine/sweep/lanes.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float largest = std::numeric_limits<float>::max();

// Two lanes of seven windows, three a block, one in the last.
struct Fixture {
  TemporaryFolder folder;
  Budget memory{"memory", 1u << 24};
  std::optional<OpenModel> model;
  Lanes lanes;

  explicit Fixture(BoundaryType type = BoundaryType::f32) {
    write_tiny_llama(folder.file("model"));
    model.emplace(open_model(folder.file("model")));
    for (int lane = 0; lane < 2; ++lane)
      lanes.add({.model = &*model}, Boundary(boundary_shape(7, 300, 4, type), memory));
    lanes.set_values({.visit = "layer 3", .pass = "probe", .what = "cotangents"});
  }
};

std::string error_of(const Finish& finish) {
  REQUIRE(finish);
  const Error error = thrown_by(finish);
  CHECK(error.fault == Fault::input);
  return error.what();
}

}  // namespace

TEST_CASE("the first value that is not finite is found at any place, and none where all are") {
  const float bad = GENERATE(infinity, -infinity, std::numeric_limits<float>::quiet_NaN(),
                             -std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::signaling_NaN());
  for (std::size_t size = 0; size < 70; ++size) {
    std::vector<float> values(size, size % 2 == 0 ? largest : -std::numeric_limits<float>::denorm_min());
    CHECK(first_not_finite(values) == std::nullopt);
    for (std::size_t place = size; place-- > 0;) {  // those that came before stay
      values[place] = bad;
      REQUIRE(first_not_finite(values) == place);
    }
  }
}

TEST_CASE("states that are not finite are told with visit, pass, window and token, in the order of the blocks") {
  const Fixture fixture;
  const std::string model = fixture.folder.file("model");
  for (std::int64_t block = 0; block < 3; ++block) {
    at::Tensor states = fixture.lanes.states(1).load(block).clone().zero_();
    CHECK_FALSE(fixture.lanes.leave(1, block, states));
    CHECK_FALSE(fixture.lanes.require_finite(1, block, states));
    const std::int64_t last = states.numel() - 1;
    states.mutable_data_ptr<float>()[last] = infinity;
    const std::string place = block == 2   ? "window 6, token 299"
                              : block == 1 ? "window 5, token 299"
                                           : "window 2, token 299";
    const std::string expected =
        model + ": layer 3, pass probe: cotangents are not finite, first at " + place + ": a weight";
    CHECK_THAT(error_of(fixture.lanes.leave(1, block, states)), ContainsSubstring(expected));
    CHECK_THAT(error_of(fixture.lanes.require_finite(0, block, states)), ContainsSubstring(expected));
  }
}

TEST_CASE("what only becomes infinite as BF16 is not finite") {
  const Fixture whole, half(BoundaryType::bf16);
  at::Tensor states = whole.lanes.states(0).load(0).clone().zero_();
  states.mutable_data_ptr<float>()[0] = largest;
  CHECK_FALSE(whole.lanes.leave(0, 0, states));
  CHECK_THAT(error_of(half.lanes.leave(0, 0, states)), ContainsSubstring("window 0, token 0"));
}

TEST_CASE("a forward of a broken source names the layer and the tensor, whatever the threads, and prices nothing") {
  const std::string tensor = GENERATE("model.layers.0.self_attn.o_proj.weight", "model.layers.0.mlp.down_proj.weight",
                                      "model.layers.0.input_layernorm.weight", "model.embed_tokens.weight",
                                      "lm_head.weight", "model.norm.weight");
  INFO(tensor);
  const TemporaryFolder folder;
  write_tiny_llama(folder.file("model"), {.nan_in = tensor, .nan_at = 3});
  write_token_rows(folder.file("ids.safetensors"), 6, 24, 16);
  QuantizeRequest options = options_in(folder, folder.file("model"), "", folder.file("ids.safetensors"), 6, 24);
  options.mixed = {.bits = 6.0, .formats = {"NVFP4A16", "BF16"}, .probes = 2, .max_source_perplexity = 1e9};
  const bool head = !tensor.starts_with("model.layers") && !tensor.starts_with("model.embed");
  const std::string visit = head ? "head, pass probe: logits are not finite: "
                            : tensor.starts_with("model.embed")
                                ? "embedding, pass propagate: hidden states are not finite"
                                : "layer 0, pass propagate: hidden states are not finite";
  std::string first;
  for (const int threads : {1, 2}) {
    options.machine.threads = run_threads(threads);
    Watcher watcher;
    const Error error = thrown_by([&] { run(options, watcher); });
    CHECK(error.fault == Fault::input);
    CHECK_THAT(error.what(), ContainsSubstring(visit));
    CHECK_THAT(error.what(), ContainsSubstring(": " + tensor + " holds NaN or infinity; "));
    CHECK_FALSE(exists(options.places.work_directory + "/costs.csv"));
    if (first.empty()) first = error.what();
    CHECK(error.what() == first);
    remove_tree(options.places.work_directory);
  }
  Reporter silent;
  const EvaluateOptions question{
      .model = folder.file("model"), .against = folder.file("model"), .tokens = folder.file("ids.safetensors")};
  const Error error = thrown_by([&] { evaluate(question, silent); });
  CHECK_THAT(error.what(), ContainsSubstring(head ? "head, pass read_logits: logits are not finite: " : visit));
  CHECK_THAT(error.what(), ContainsSubstring(": " + tensor + " holds NaN or infinity; "));
}
