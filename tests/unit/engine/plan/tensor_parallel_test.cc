// What is left of a Linear on each device, and whether a format holds it: by hand, on the demo model. Its attention has
// 4 heads of 32 and 2 of keys and values, its experts are 128 wide, as is the hidden state.
#include "engine/plan/tensor_parallel.h"

#include <catch2/catch_test_macros.hpp>

#include "engine/plan/open_model.h"
#include "tests/support/source_folder.h"

using namespace strata;
using namespace strata::test;

namespace {

class Fixture {
 public:
  // "" when it can be spread.
  std::string why_not(std::string_view name, const char* format, int size) const {
    const NumberFormat* const known = std::string_view(format) == "dense" ? nullptr : &require_number_format(format);
    for (const LinearSpec* linear : linears(*model.spec))
      if (linear->module == name) return parallel.refusal(*linear, known, size).value_or("");
    return "no such Linear";
  }

  const OpenModel model = open_model(in_source("demo/model"));
  const TensorParallel parallel{*model.spec};
};

const std::string attention = "model.layers.0.self_attn.", expert = "model.layers.0.mlp.experts.3.";

}  // namespace

TEST_CASE("attention is dealt out by heads, and those of keys repeat where there are fewer") {
  const Fixture fixture;
  for (const char* const name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    INFO(name);
    CHECK(fixture.why_not(attention + name, "BF16", 2).empty());
    CHECK(fixture.why_not(attention + name, "BF16", 4).empty());
  }
  CHECK(fixture.why_not(attention + "q_proj", "dense", 8) == "its 4 heads do not divide by 8");
  CHECK(fixture.why_not(attention + "o_proj", "NVFP4", 8) == "its 4 heads do not divide by 8");
  CHECK(fixture.why_not(attention + "k_proj", "dense", 8).empty());  // each of 2 heads on 4 devices
  CHECK(fixture.why_not(attention + "k_proj", "dense", 3) == "its 2 heads do not divide by 3");
}

TEST_CASE("columns are cut into whole groups, blocks and words, rows into whole blocks and words of zero points") {
  const Fixture fixture;
  CHECK(fixture.why_not(expert + "down_proj", "NVFP4", 8).empty());  // 16 columns each
  CHECK(fixture.why_not(expert + "down_proj", "NVFP4", 16) == "8 columns of each device do not divide by 16");
  CHECK(fixture.why_not(expert + "down_proj", "MXFP8", 4).empty());
  CHECK(fixture.why_not(expert + "down_proj", "MXFP8", 8) == "16 columns of each device do not divide by 32");
  CHECK(fixture.why_not(expert + "down_proj", "W4A16", 2) == "64 columns of each device do not divide by 128");
  CHECK(fixture.why_not(expert + "down_proj", "FP8_BLOCK", 2) == "64 columns of each device do not divide by 128");
  CHECK(fixture.why_not(expert + "down_proj", "W8A16_CHANNEL", 32).empty());  // 4 codes of a word
  CHECK(fixture.why_not(expert + "down_proj", "W8A16_CHANNEL", 64) == "2 columns of each device do not divide by 4");
  CHECK(fixture.why_not(expert + "down_proj", "FP8_DYNAMIC", 128).empty());
  CHECK(fixture.why_not(expert + "down_proj", "MXFP4XFP8", 2) == "64 columns of each device do not divide by 128");
  // Rows have columns of their own: groups do not matter.
  CHECK(fixture.why_not(expert + "gate_proj", "W4A16", 8).empty());
  CHECK(fixture.why_not(expert + "up_proj", "FP8_BLOCK", 2) == "64 rows of each device do not divide by 128");
  CHECK(fixture.why_not(expert + "up_proj", "W4A16_G32_ASYM", 16).empty());  // zero points of 8 rows a word
  CHECK(fixture.why_not(expert + "up_proj", "W4A16_G32_ASYM", 32) == "4 rows of each device do not divide by 8");
  CHECK(fixture.why_not(expert + "up_proj", "dense", 3) == "its 128 rows do not divide by 3");
  // Nothing is cut where there is one device; routers never are, and heads are padded.
  CHECK(fixture.why_not(expert + "down_proj", "FP8_BLOCK", 1).empty());
  CHECK(fixture.why_not("model.layers.0.mlp.gate", "dense", 3).empty());
  CHECK(fixture.why_not("lm_head", "W4A16", 3).empty());
}

TEST_CASE("the sizes that a model can be served at, and what is in the way of the next") {
  const Fixture fixture;
  const auto sizes = [&](const char* format) {
    return serving_sizes(*fixture.model.spec,
                         [&](const LinearSpec&) { return std::vector{&require_number_format(format)}; });
  };
  CHECK(sizes("BF16").sizes == std::vector<int>{1, 2, 4});
  CHECK(sizes("BF16").text() == "1, 2, 4 (not 8: model.layers.0.self_attn.q_proj: its 4 heads do not divide by 8)");
  CHECK(sizes("W4A16").text() ==
        "1 (not 2: model.layers.0.self_attn.o_proj in W4A16: 64 columns of each device do not divide by 128)");
}
