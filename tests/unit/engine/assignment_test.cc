#include "engine/assignment.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

namespace {

// A Llama of one layer; `inner` is the MLP's width, so that a test can choose one that a group refuses.
std::string write_llama(const test::TemporaryFolder& folder, std::int64_t inner, bool tied) {
  const std::string config = fmt::format(
      R"({{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128, "intermediate_size": {},
      "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 16,
      "max_position_embeddings": 64, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": {}}})",
      inner, tied);
  std::vector<test::StoredTensor> tensors;
  const auto add = [&](const std::string& name, Shape shape) {
    tensors.push_back(test::random_tensor(name, std::move(shape), Dtype::bf16, static_cast<unsigned>(tensors.size())));
  };
  add("model.embed_tokens.weight", {16, 128});
  if (!tied) add("lm_head.weight", {16, 128});
  add("model.norm.weight", {128});
  const std::string layer = "model.layers.0.";
  add(layer + "input_layernorm.weight", {128});
  add(layer + "post_attention_layernorm.weight", {128});
  add(layer + "self_attn.q_proj.weight", {128, 128});
  add(layer + "self_attn.k_proj.weight", {64, 128});
  add(layer + "self_attn.v_proj.weight", {64, 128});
  add(layer + "self_attn.o_proj.weight", {128, 128});
  add(layer + "mlp.gate_proj.weight", {inner, 128});
  add(layer + "mlp.up_proj.weight", {inner, 128});
  add(layer + "mlp.down_proj.weight", {128, inner});
  test::write_checkpoint(folder.file("model"), config, tensors);
  return folder.file("model");
}

std::string_view format_of(const Assignment& assignment, const std::string& module) {
  return assignment.formats.at(module)->name;
}

}  // namespace

TEST_CASE("the scheme goes to every Linear but the head, overrides and ignores change it") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, false));
  Assignment plain = assign_formats(model, {.scheme = "w4a16"});
  CHECK(format_of(plain, "model.layers.0.self_attn.q_proj") == "W4A16");
  CHECK(format_of(plain, "lm_head") == "KEEP");
  CHECK(plain.decisions.empty());

  const QuantizeOptions mixed{.scheme = "W4A16",
                              .ignore = {"*.o_proj"},
                              .overrides = {{"re:.*mlp[.]", "FP8_DYNAMIC"}, {"*.down_proj", "BF16"}, {"lm_head", "fp8_dynamic"}}};
  const Assignment assignment = assign_formats(model, mixed);
  CHECK(format_of(assignment, "model.layers.0.mlp.gate_proj") == "FP8_DYNAMIC");
  CHECK(format_of(assignment, "model.layers.0.mlp.down_proj") == "BF16");
  CHECK(format_of(assignment, "model.layers.0.self_attn.o_proj") == "KEEP");
  CHECK(format_of(assignment, "lm_head") == "FP8_DYNAMIC");
}

TEST_CASE("a rule that splits what is served as one matrix is refused, naming both") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, false));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .ignore = {"*.q_proj"}}), Error,
                       MessageMatches(ContainsSubstring("q_proj would be KEEP") && ContainsSubstring("k_proj W4A16")));
}

TEST_CASE("a pattern that matches nothing is refused with a suggestion") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, false));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .ignore = {"lm_heat"}}), Error,
                       MessageMatches(ContainsSubstring("did you mean lm_head?")));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .overrides = {{"re:.*visual.*", "BF16"}}}), Error,
                       MessageMatches(ContainsSubstring("matches none of the 8 Linears")));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .overrides = {{"model.embed_tokens", "W4A16"}}}), Error,
                       MessageMatches(ContainsSubstring("only Linears take a number format")));
}

TEST_CASE("a shape that does not divide keeps its whole unit as a decision, or stops a strict run") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 200, false));  // 200 columns of down_proj
  const Assignment assignment = assign_formats(model, {.scheme = "W4A16"});
  CHECK(format_of(assignment, "model.layers.0.mlp.down_proj") == "KEEP");
  CHECK(format_of(assignment, "model.layers.0.mlp.gate_proj") == "W4A16");
  REQUIRE(assignment.decisions.size() == 1);
  CHECK(assignment.decisions[0].first == "model.layers.0.mlp.down_proj");
  CHECK_THAT(assignment.decisions[0].second, ContainsSubstring("200"));
  CHECK_THROWS_AS(assign_formats(model, {.scheme = "W4A16", .strict = true}), Error);
}

TEST_CASE("a tied head cannot be quantized but may be ignored") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, true));
  CHECK_NOTHROW(assign_formats(model, {.scheme = "W4A16", .ignore = {"lm_head"}}));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .overrides = {{"lm_head", "FP8_DYNAMIC"}}}), Error,
                       MessageMatches(ContainsSubstring("shares model.embed_tokens.weight")));
}
