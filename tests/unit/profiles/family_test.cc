#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/file.h"
#include "profiles/layer_questions.h"
#include "tests/support/source_folder.h"
#include "tests/unit/profiles/synthetic.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::config_json;
using test::describe;

std::string describe_error(const std::string& json, const test::Tensors& tensors) {
  try {
    describe(json, tensors);
  } catch (const Error& error) {
    REQUIRE(error.fault == Fault::input);
    return error.what();
  }
  return "";
}

std::string architecture_error(const std::string& json) {
  try {
    require_profile(Config::parse(json, "config.json"));
  } catch (const Error& error) {
    REQUIRE(error.fault == Fault::input);
    return error.what();
  }
  return "";
}

TEST_CASE("the architecture finds the profile, model_type only when there is none") {
  const auto name = [](const std::string& json) {
    const Profile* profile = find_profile(Config::parse(json, "config.json"));
    return profile ? std::string(profile->name) : "";
  };
  CHECK(name(R"({"architectures": ["LlamaForCausalLM"]})") == "llama");
  CHECK(name(R"({"architectures": ["MistralForCausalLM"]})") == "mistral");
  CHECK(name(R"({"architectures": ["Qwen3ForCausalLM"]})") == "qwen3");
  CHECK(name(R"({"architectures": ["Qwen3MoeForCausalLM"]})") == "qwen3_moe");
  CHECK(name(R"({"model_type": "qwen3"})") == "qwen3");
  CHECK(name(R"({"architectures": null, "text_config": {"model_type": "mistral"}})") == "mistral");
  CHECK(name(R"({"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"})").empty());
  CHECK(name("{}").empty());
}

TEST_CASE("a family that is not known is named, with the nearest one that is") {
  CHECK_THAT(architecture_error(R"({"architectures": ["Qwen3MoForCausalLM"]})"),
             ContainsSubstring("Qwen3MoForCausalLM") && ContainsSubstring("did you mean Qwen3MoeForCausalLM?"));
  CHECK_THAT(architecture_error(R"({"model_type": "mistal"})"), ContainsSubstring("did you mean mistral?"));
  CHECK_THAT(architecture_error("{}"), ContainsSubstring("neither architectures nor model_type"));
}

TEST_CASE("the Linears of a layer come in order, share inputs and are fused as servers fuse them") {
  const ModelSpec model = describe(config_json("LlamaForCausalLM"), test::llama_tensors());
  const std::vector<const LinearSpec*> list = linears(model.layers[1]);
  REQUIRE(list.size() == 7);
  const std::string prefix = "model.layers.1.";
  const char* names[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                         "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  for (std::size_t i = 0; i < 7; ++i) {
    CHECK(list[i]->module == prefix + names[i]);
    CHECK(list[i]->kind == LinearClass::quantize);
    CHECK_FALSE(list[i]->bias);
    CHECK_FALSE(list[i]->input.empty());
  }
  for (const std::size_t i : {0U, 1U, 2U}) CHECK(list[i]->fused_module == prefix + "self_attn.qkv_proj");
  for (const std::size_t i : {4U, 5U}) CHECK(list[i]->fused_module == prefix + "mlp.gate_up_proj");
  for (const std::size_t i : {3U, 6U}) CHECK(list[i]->fused_module.empty());
  CHECK(list[0]->input == list[2]->input);
  CHECK(list[4]->input == list[5]->input);
  CHECK(list[0]->input != list[3]->input);
  CHECK(list[0]->input != list[4]->input);
  CHECK(list[4]->input != list[6]->input);
}

TEST_CASE("experts of a layer share inputs, and each expert's gate and up are fused") {
  const ModelSpec model = describe(config_json("Qwen3MoeForCausalLM", test::moe_members), test::qwen3_moe_tensors());
  CHECK(experts_of(model.layers[0]) == nullptr);
  const MoeSpec* moe = experts_of(model.layers[1]);
  REQUIRE(moe);
  CHECK(moe->top_k == 1);
  CHECK_FALSE(moe->renormalize);
  CHECK(moe->router.kind == LinearClass::keep);
  CHECK(moe->router.module == "model.layers.1.mlp.gate");
  REQUIRE(moe->experts.size() == 2);
  CHECK(moe->experts[1].gate.module == "model.layers.1.mlp.experts.1.gate_proj");
  CHECK(moe->experts[1].gate.fused_module == "model.layers.1.mlp.experts.1.gate_up_proj");
  CHECK(moe->experts[1].up.fused_module == moe->experts[1].gate.fused_module);
  CHECK(moe->experts[0].gate.input == "model.layers.1.mlp.experts.input");
  CHECK(moe->experts[1].up.input == moe->experts[0].gate.input);
  CHECK(moe->experts[1].down.input == moe->experts[0].down.input);
  CHECK(moe->experts[0].down.input != moe->experts[0].gate.input);
  CHECK(linears(model.layers[1]).size() == 4 + 1 + 2 * 3);
  CHECK(linears(model.layers[1])[4] == &moe->router);
}

TEST_CASE("Qwen3 has head norms of the model's eps, Llama has none") {
  const ModelSpec qwen = describe(config_json("Qwen3ForCausalLM"), test::qwen3_tensors());
  const AttentionSpec* const attention = attention_of(qwen.layers[0]);
  REQUIRE(attention->q_norm);
  CHECK(attention->q_norm->size == 4);
  CHECK(attention->k_norm->weight == "model.layers.0.self_attn.k_norm.weight");
  CHECK(attention->k_norm->eps == 1e-5);
  CHECK(norms(qwen.layers[0]).size() == 4);
  const ModelSpec llama = describe(config_json("LlamaForCausalLM"), test::llama_tensors());
  CHECK_FALSE(attention_of(llama.layers[0])->q_norm);
  CHECK(norms(llama.layers[0]).size() == 2);
}

TEST_CASE("attention_bias and mlp_bias decide which Linears carry a bias") {
  const ModelSpec both =
      describe(config_json("LlamaForCausalLM", R"("attention_bias": true, "mlp_bias": true)"), test::llama_tensors());
  for (const LinearSpec* linear : linears(both.layers[0])) CHECK(linear->bias);
  const ModelSpec attention =
      describe(config_json("LlamaForCausalLM", R"("attention_bias": true)"), test::llama_tensors());
  CHECK(attention_of(attention.layers[0])->o.bias);
  for (const LinearSpec* linear : linears(*ffn_of(attention.layers[0]))) CHECK_FALSE(linear->bias);
}

TEST_CASE("Mistral's window is the key, none for null, and 4096 when the key is missing") {
  const auto window = [](const char* members) {
    return attention_of(describe(config_json("MistralForCausalLM", members), test::llama_tensors()).layers[1])->window;
  };
  CHECK(window(R"("sliding_window": 8)") == 8);
  CHECK(window(R"("sliding_window": null)") == 0);
  CHECK(window("") == 4096);
  CHECK_THROWS_AS(window(R"("sliding_window": 0)"), Error);
}

TEST_CASE("the end that is on disk serves both when the config ties them") {
  const char* tied = R"("tie_word_embeddings": true)";
  test::Tensors embedding = test::llama_tensors(), head = test::llama_tensors();
  test::remove(embedding, "lm_head.weight");
  test::remove(head, "model.embed_tokens.weight");

  const ModelSpec first = describe(config_json("LlamaForCausalLM", tied), embedding);
  CHECK(first.tied);
  CHECK(first.embedding == "model.embed_tokens.weight");
  CHECK(first.head.module == "model.embed_tokens");
  const ModelSpec second = describe(config_json("LlamaForCausalLM", tied), head);
  CHECK(second.tied);
  CHECK(second.embedding == "lm_head.weight");
  CHECK(second.head.module == "lm_head");
}

TEST_CASE("both ends on disk are both used, whatever the config says") {
  for (const char* members : {R"("tie_word_embeddings": true)", R"("tie_word_embeddings": false)", ""}) {
    const ModelSpec model = describe(config_json("LlamaForCausalLM", members), test::llama_tensors());
    CHECK_FALSE(model.tied);
    CHECK(model.embedding == "model.embed_tokens.weight");
    CHECK(model.head.module == "lm_head");
  }
}

TEST_CASE("a missing end that the config does not tie is an error, not a random matrix") {
  test::Tensors tensors = test::llama_tensors();
  test::remove(tensors, "lm_head.weight");
  for (const char* members : {R"("tie_word_embeddings": false)", ""})
    CHECK_THAT(describe_error(config_json("LlamaForCausalLM", members), tensors),
               ContainsSubstring("tie_word_embeddings") && ContainsSubstring("lm_head.weight"));
  test::remove(tensors, "model.embed_tokens.weight");
  CHECK_THAT(describe_error(config_json("LlamaForCausalLM"), tensors), ContainsSubstring("neither"));
}

TEST_CASE("a text model nested under text_config is read, and the outer tie wins") {
  test::Tensors tensors = test::llama_tensors();
  test::remove(tensors, "lm_head.weight");
  const std::string inner = config_json("LlamaForCausalLM", R"("tie_word_embeddings": false)");
  const std::string outer =
      R"({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": true, "text_config": )" + inner + "}";
  const ModelSpec model = describe(outer, tensors);
  CHECK(model.hidden == 8);
  CHECK(model.tied);
}

TEST_CASE("what the interpreter does not do is refused with the key, the value and what is supported") {
  const test::Tensors moe = test::qwen3_moe_tensors(), dense = test::qwen3_tensors();
  CHECK_THAT(describe_error(config_json("Qwen3ForCausalLM", R"("use_sliding_window": true)"), dense),
             ContainsSubstring("use_sliding_window is true; only false is supported"));
  CHECK_THAT(describe_error(
                 config_json("Qwen3ForCausalLM", R"("layer_types": ["full_attention", "sliding_attention"])"), dense),
             ContainsSubstring("layer_types[1] is sliding_attention"));
  CHECK_THAT(describe_error(config_json("Qwen3ForCausalLM", R"("layer_types": ["full_attention"])"), dense),
             ContainsSubstring("layer_types has 1 entries"));
  const auto refused = [&](const std::string& members) {
    return describe_error(config_json("Qwen3MoeForCausalLM", std::string(test::moe_members) + ", " + members), moe);
  };
  CHECK_THAT(refused(R"("shared_expert_intermediate_size": 64)"), ContainsSubstring("no shared expert"));
  CHECK_THAT(refused(R"("use_qk_norm": false)"), ContainsSubstring("use_qk_norm is false"));
  CHECK_THAT(refused(R"("qkv_bias": true)"), ContainsSubstring("qkv_bias is true"));
  CHECK(refused(R"("qkv_bias": false, "use_qk_norm": true, "shared_expert_intermediate_size": 0)").empty());
}

TEST_CASE("experts packed into one tensor are refused with the way out") {
  test::Tensors tensors = test::qwen3_moe_tensors();
  tensors.push_back(test::zeros("model.layers.1.mlp.experts.gate_up_proj", {2, 12, 8}));
  CHECK_THAT(describe_error(config_json("Qwen3MoeForCausalLM", test::moe_members), tensors),
             ContainsSubstring("packed experts are not supported"));
}

TEST_CASE("the page on adding a family shows a real file as it is") {
  const std::string root = test::in_source("");
  CHECK_THAT(read_text(root + "/docs/add-a-profile.md"),
             ContainsSubstring(read_text(root + "/profiles/family/qwen3.cc")));
}

TEST_CASE("a config with more experts than the checkpoint ends before they are listed") {
  std::string members(test::moe_members);
  members.replace(members.find("\"num_experts\": 2"), 16, "\"num_experts\": 65536");
  CHECK_THAT(
      describe_error(config_json("Qwen3MoeForCausalLM", members), test::qwen3_moe_tensors()),
      ContainsSubstring("model.layers.1.mlp.experts.65535.down_proj.weight") && ContainsSubstring("65536 experts"));
}

TEST_CASE("a config with more layers than the checkpoint ends at the first that is missing") {
  std::string json = config_json("LlamaForCausalLM");
  json.replace(json.find("\"num_hidden_layers\": 2"), 22, "\"num_hidden_layers\": 60000");
  CHECK_THAT(describe_error(json, test::llama_tensors()),
             ContainsSubstring("model.layers.2.input_layernorm.weight") && ContainsSubstring("60000"));
}

}  // namespace
}  // namespace strata
