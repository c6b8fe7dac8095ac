#include "profiles/claims.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/unit/profiles/synthetic.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::audit;
using test::config_json;

const std::string llama = config_json("LlamaForCausalLM");
const std::string moe = config_json("Qwen3MoeForCausalLM", test::moe_members);

TEST_CASE("a whole checkpoint of each family is claimed to the last tensor") {
  CHECK(audit(llama, test::llama_tensors()).empty());
  CHECK(audit(config_json("MistralForCausalLM"), test::llama_tensors()).empty());
  CHECK(audit(config_json("Qwen3ForCausalLM"), test::qwen3_tensors()).empty());
  CHECK(audit(moe, test::qwen3_moe_tensors()).empty());
}

TEST_CASE("every tensor that is taken away is missed by name") {
  const test::Tensors whole = test::qwen3_moe_tensors();
  for (const test::StoredTensor& tensor : whole) {
    test::Tensors rest = whole;
    test::remove(rest, tensor.name);
    CHECK_THAT(audit(moe, rest), ContainsSubstring(tensor.name));
  }
}

TEST_CASE("every tensor of another shape is named with both shapes") {
  const test::Tensors whole = test::qwen3_moe_tensors();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    test::Tensors changed = whole;
    const Shape right = changed[i].shape;
    Shape wrong = right;
    wrong.back() += 1;
    changed[i] = test::zeros(changed[i].name, wrong);
    CHECK_THAT(audit(moe, changed), ContainsSubstring(whole[i].name) && ContainsSubstring(shape_text(wrong)) &&
                                        ContainsSubstring(shape_text(right)));
  }
}

TEST_CASE("a tensor that nobody claims is named") {
  for (const char* name : {"model.layers.0.self_attn.q_proj.bias", "model.layers.2.input_layernorm.weight",
                           "model.layers.0.self_attn.q_norm.weight", "visual.patch.weight", "lm_head.bias"}) {
    test::Tensors tensors = test::llama_tensors();
    tensors.push_back(test::zeros(name, {8}));
    CHECK_THAT(audit(llama, tensors), ContainsSubstring(name) && ContainsSubstring("belongs to no part of a llama"));
  }
}

TEST_CASE("a bias that the config promises must be there") {
  test::Tensors tensors = test::llama_tensors();
  const std::string json = config_json("LlamaForCausalLM", R"("mlp_bias": true)");
  for (int layer = 0; layer < 2; ++layer)
    for (const char* name : {"gate_proj", "up_proj", "down_proj"})
      tensors.push_back(test::zeros(fmt::format("model.layers.{}.mlp.{}.bias", layer, name),
                                    {std::string_view(name) == "down_proj" ? 8 : 12}));
  CHECK(audit(json, tensors).empty());
  test::remove(tensors, "model.layers.1.mlp.down_proj.bias");
  CHECK_THAT(audit(json, tensors), ContainsSubstring("model.layers.1.mlp.down_proj.bias [8] is missing"));
}

TEST_CASE("several problems are counted and listed") {
  test::Tensors tensors = test::llama_tensors();
  test::remove(tensors, "model.norm.weight");
  tensors.push_back(test::zeros("extra", {1}));
  CHECK_THAT(audit(llama, tensors), ContainsSubstring("model.norm.weight") && ContainsSubstring("1 more problem"));
}

TEST_CASE("the rotary buffers of old Llama files are left alone") {
  test::Tensors tensors = test::llama_tensors();
  tensors.push_back(test::zeros("model.layers.0.self_attn.rotary_emb.inv_freq", {2}, Dtype::f32));
  tensors.push_back(test::zeros("model.rotary_emb.inv_freq", {2}, Dtype::f32));
  CHECK(audit(llama, tensors).empty());
}

TEST_CASE("a tied model has one end, whichever is on disk") {
  const std::string tied = config_json("LlamaForCausalLM", R"("tie_word_embeddings": true)");
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight"}) {
    test::Tensors tensors = test::llama_tensors();
    test::remove(tensors, name);
    CHECK(audit(tied, tensors).empty());
  }
  CHECK(audit(tied, test::llama_tensors()).empty());  // both: each is used as it is
}

TEST_CASE("a weight in eight bits without a quantization_config is named with its dtype") {
  test::Tensors tensors = test::llama_tensors();
  test::remove(tensors, "model.layers.0.mlp.up_proj.weight");
  tensors.push_back(test::zeros("model.layers.0.mlp.up_proj.weight", {12, 8}, Dtype::f8_e4m3));
  CHECK_THAT(audit(llama, tensors), ContainsSubstring("up_proj.weight") && ContainsSubstring("F8_E4M3"));
}

// A made-up format: two codes a byte and one scale a row.
std::vector<Field> fake_fields(const Shape& weight, Dtype, ScaleRule) {
  return {{"weight_packed", Dtype::u8, {weight[0], weight[1] / 2}}, {"weight_scale", Dtype::bf16, {weight[0], 1}}};
}

NumberFormat fake_format() {
  NumberFormat format{.name = "FAKE", .floor = no_floor};
  format.fields = fake_fields;
  format.refusal = [](const Shape&) -> std::optional<std::string> { return std::nullopt; };
  return format;
}

test::Tensors quantized_down(Dtype scale) {
  test::Tensors tensors = test::llama_tensors();
  const std::string module = "model.layers.1.mlp.down_proj";
  test::remove(tensors, module + ".weight");
  tensors.push_back(test::zeros(module + ".weight_packed", {8, 6}, Dtype::u8));
  tensors.push_back(test::zeros(module + ".weight_scale", {8, 1}, scale));
  return tensors;
}

TEST_CASE("the fields of a quantized Linear are claimed in its place") {
  const NumberFormat fake = fake_format();
  const StoredFormat stored = [&](std::string_view module) {
    return module == "model.layers.1.mlp.down_proj" ? &fake : nullptr;
  };
  for (const Dtype scale : {Dtype::bf16, Dtype::f16, Dtype::f32})
    CHECK(audit(llama, quantized_down(scale), stored).empty());
  CHECK_THAT(audit(llama, quantized_down(Dtype::u8), stored),
             ContainsSubstring("weight_scale") && ContainsSubstring("FAKE"));
  CHECK_THAT(audit(llama, test::llama_tensors(), stored),
             ContainsSubstring("down_proj.weight_packed [8, 6] is missing"));
  test::Tensors both = quantized_down(Dtype::bf16);
  both.push_back(test::zeros("model.layers.1.mlp.down_proj.weight", {8, 12}));
  CHECK_THAT(audit(llama, both, stored), ContainsSubstring("down_proj.weight: BF16"));
}

TEST_CASE("two parts that want one tensor are an error") {
  const test::TemporaryFolder folder;
  test::write_checkpoint(folder.path(), llama, test::llama_tensors());
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  ModelSpec model = test::describe(llama, test::llama_tensors());
  model.layers[0].blocks[1].before = model.layers[0].blocks[0].before;
  const std::vector<ClaimProblem> problems = claim_problems(model, checkpoint, test::all_dense);
  REQUIRE(problems.size() == 2);  // claimed twice, and the one that is now left over
  CHECK(problems[0].tensor == "model.layers.0.input_layernorm.weight");
  CHECK(problems[0].what == "is claimed by two parts of the model");
  CHECK(problems[0].text() ==
        "model.safetensors: tensor model.layers.0.input_layernorm.weight: is claimed by two parts of the model");
  CHECK(problems[1].tensor == "model.layers.0.post_attention_layernorm.weight");
  CHECK_THROWS_AS(audit_claims(model, checkpoint, test::all_dense), Error);
}

}  // namespace
}  // namespace strata
