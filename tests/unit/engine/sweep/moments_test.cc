// What calibration collects: maxima, mean squares of columns, and their order.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/moments.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <tbb/global_control.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>

#include "base/error.h"
#include "engine/sweep/boundary.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

namespace {

at::Tensor matrix(std::vector<float> values, std::int64_t cols) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size()) / cols, cols}, at::kFloat).clone();
}

const LinearSpec gate{.module = "e0.gate", .out = 4, .in = 2, .fused_module = "e0.gate_up", .input = "experts.input"};
const LinearSpec up{.module = "e0.up", .out = 4, .in = 2, .fused_module = "e0.gate_up", .input = "experts.input"};
const LinearSpec other{.module = "e1.gate", .out = 4, .in = 2, .fused_module = "e1.gate_up", .input = "experts.input"};

// All of these Linears have index 0.
constexpr std::array everything = {Collect::amax | Collect::squares | Collect::cache};
constexpr std::array largest = {Collect::amax};

}  // namespace

TEST_CASE("what nobody wants is not learnt") {
  Moments moments;
  moments.see(gate, matrix({1, 2}, 2));
  CHECK_FALSE(moments.reached(gate));
  CHECK(moments.column_weight(gate).empty());
  constexpr std::array columns = {Collect::squares};
  Moments squares(columns);
  squares.see(gate, matrix({1, 2}, 2));
  CHECK_FALSE(squares.reached(gate));
  CHECK(squares.column_weight(gate) == std::vector<float>{1, 4});
}

TEST_CASE("moments that were kept are what they were, NaN included") {
  Moments moments(everything);
  moments.see(gate, matrix({1, -2, 3, 0.1f}, 2));
  moments.see(other, matrix({-1e-30f, 1e30f}, 2));
  const std::optional<Moments> again = Moments::parse(moments.print());
  REQUIRE(again);
  CHECK(again->input_amax(gate) == 1e30f);
  CHECK(again->column_weight(gate) == moments.column_weight(gate));
  CHECK(again->column_weight(other) == moments.column_weight(other));
  moments.see(gate, matrix({std::numeric_limits<float>::quiet_NaN(), 1}, 2));
  CHECK_THROWS_MATCHES(Moments::parse(moments.print())->input_amax(gate), Error,
                       MessageMatches(ContainsSubstring("nan")));
  CHECK_FALSE(Moments::parse("{}"));
  CHECK_FALSE(Moments::parse(R"({"largest": {"a": "b"}, "squares": {}})"));
}

TEST_CASE("experts share the maximum of their input, and each has mean squares of its own") {
  Moments moments(everything);
  const at::Tensor first = matrix({1, -2, 3, 0}, 2), second = matrix({-5, 1}, 2);
  moments.see(gate, first);
  moments.see(up, first);
  moments.see(other, second);
  CHECK(moments.input_amax(gate) == 5);
  CHECK(moments.input_amax(other) == 5);
  CHECK(moments.column_weight(gate) == std::vector<float>{5, 2});
  CHECK(moments.column_weight(up) == std::vector<float>{5, 2});
  CHECK(moments.column_weight(other) == std::vector<float>{25, 1});
}

TEST_CASE("every tensor that reaches a Linear counts, the one that its siblings share once") {
  Moments moments(everything);
  const at::Tensor first = matrix({1, -2, 3, 0}, 2);
  moments.see(gate, first);
  moments.see(up, first);
  {
    const at::Tensor second = matrix({-7, 2}, 2);
    moments.see(gate, second);  // as a chunk of tokens, or a second use of the Linear
    moments.see(up, second);
  }
  moments.see(gate, matrix({1, 4}, 2));  // perhaps where the one before lay
  CHECK(moments.input_amax(gate) == 7);
  CHECK(moments.column_weight(gate) == std::vector<float>{15, 6});  // (1 + 9 + 49 + 1) / 4, (4 + 0 + 4 + 16) / 4
}

TEST_CASE("merged blocks give the mean over all their rows") {
  Moments all, one(everything), two(everything);
  one.see(gate, matrix({1, 1}, 2));
  two.see(gate, matrix({3, 2, 5, 4}, 2));
  all.merge(one);
  all.merge(two);
  CHECK(all.column_weight(gate) == std::vector<float>{35.0f / 3, 7});
  CHECK(all.input_amax(up) == 5);
  all.forget_columns();
  CHECK(all.column_weight(gate).empty());
}

TEST_CASE("without a call for columns there are none, and an expert that no token reached has none") {
  Moments plain(largest), columns(everything);
  plain.see(gate, matrix({1, 2}, 2));
  columns.see(gate, matrix({1, 2}, 2));
  CHECK(plain.column_weight(gate).empty());
  CHECK(columns.column_weight(other).empty());
}

TEST_CASE("keys and values have maxima of their own, and NaN in them is an error that names the projection") {
  AttentionSpec attention;
  attention.k.module = "attn.k_proj";
  attention.v.module = "attn.v_proj";
  Moments moments(everything);
  CHECK_THROWS_MATCHES(moments.cache(attention), Error, MessageMatches(ContainsSubstring("attn.k_proj")));
  moments.see_cache(attention, matrix({1, -8}, 2), matrix({.5f, .25f}, 2));
  moments.see_cache(attention, matrix({7, 0}, 2), matrix({-.75f, 0}, 2));
  CHECK(moments.cache(attention).keys == 8);
  CHECK(moments.cache(attention).values == .75f);
  moments.see_cache(attention, matrix({1, 1}, 2), matrix({std::numeric_limits<float>::quiet_NaN(), 1}, 2));
  moments.see_cache(attention, matrix({1, 1}, 2), matrix({9, 1}, 2));
  CHECK_THROWS_MATCHES(moments.cache(attention), Error, MessageMatches(ContainsSubstring("attn.v_proj")));
}

TEST_CASE("blocks finish in their order, whatever the number of threads") {
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, 4);
  Budget memory("memory", 1u << 20);
  Boundary boundary(boundary_shape(64, 1024, 2), memory);  // one sample a block
  for (std::int64_t i = 0; i < 64; ++i)
    for (float& value : boundary.values(i, 1)) value = static_cast<float>(i);
  std::vector<float> order;
  advance(boundary, nullptr, [&](std::int64_t, const at::Tensor& x, Finish& finish) {
    const float first = x.const_data_ptr<float>()[0];
    finish = [&order, first] { order.push_back(first); };
    return x + 1;
  });
  std::vector<float> expected;
  for (int i = 0; i < 64; ++i) expected.push_back(static_cast<float>(i));
  CHECK(order == expected);
  CHECK(boundary.values(63, 1)[5] == 64);
}
