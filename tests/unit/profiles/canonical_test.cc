#include "profiles/canonical.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/error.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;

Config parse(const std::string& json) { return Config::parse(json, "config.json"); }

std::string rope_error(const std::string& json) {
  try {
    parse_rope(parse(json));
  } catch (const Error& error) {
    REQUIRE(error.fault == Fault::input);
    return error.what();
  }
  return "";
}

std::string decoder(const std::string& members) {
  return R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
             "vocab_size": 128, "max_position_embeddings": 256)" +
         members + "}";
}

std::string decoder_error(const std::string& members) {
  try {
    parse_decoder(parse(decoder(members)));
  } catch (const Error& error) {
    REQUIRE(error.fault == Fault::input);
    return error.what();
  }
  return "";
}

TEST_CASE("rope is read in the spelling of transformers 4 and of transformers 5") {
  for (const char* json : {R"({"rope_theta": 500000.0, "max_position_embeddings": 131072,
                               "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 8192, "rope_type": "llama3"}})",
                           R"({"max_position_embeddings": 131072,
                               "rope_parameters": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 8192, "type": "llama3", "rope_theta": 500000}})"}) {
    const RopeSpec rope = parse_rope(parse(json));
    CHECK(rope.kind == RopeKind::llama3);
    CHECK(rope.theta == 500000);
    CHECK(rope.factor == 8);
    CHECK(rope.original_positions == 8192);
    CHECK(rope.low_frequency_factor == 1);
    CHECK(rope.high_frequency_factor == 4);
  }
}

TEST_CASE("rope without any key is plain with base 10000") {
  const RopeSpec rope = parse_rope(parse(R"({"rope_scaling": null})"));
  CHECK(rope.kind == RopeKind::plain);
  CHECK(rope.theta == 10000);
}

TEST_CASE("linear rope divides by its factor") {
  const RopeSpec rope = parse_rope(parse(R"({"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 4}})"));
  CHECK(rope.kind == RopeKind::linear);
  CHECK(rope.factor == 4);
  CHECK(rope.theta == 1e6);
}

TEST_CASE("the base inside the rope section wins over the one beside it") {
  const RopeSpec rope = parse_rope(parse(R"({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}})"));
  CHECK(rope.theta == 1e6);
}

TEST_CASE("llama3 rope without its original length takes the model's") {
  const RopeSpec rope = parse_rope(parse(R"({"max_position_embeddings": 4096, "rope_scaling":
      {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}})"));
  CHECK(rope.original_positions == 4096);
}

TEST_CASE("a rope that is not supported is refused by its name") {
  for (const char* type : {"yarn", "dynamic", "longrope", "su", "proportional"}) {
    const std::string json = R"({"rope_scaling": {"factor": 4.0, "rope_type": ")" + std::string(type) + "\"}}";
    CHECK_THAT(rope_error(json), ContainsSubstring(type) && ContainsSubstring("default, linear and llama3"));
  }
}

TEST_CASE("a rope key that is not known is an error, whatever its value") {
  CHECK_THAT(rope_error(R"({"rope_parameters": {"rope_type": "default", "mrope_section": null}})"),
             ContainsSubstring("mrope_section"));
  CHECK_THAT(rope_error(R"({"rope_scaling": {"rope_type": "linear", "factor": 2, "beta_fast": 4}})"),
             ContainsSubstring("beta_fast"));
}

TEST_CASE("contradictions and nonsense in rope are errors that name the key") {
  CHECK_THAT(rope_error(R"({"rope_scaling": {"rope_type": "linear", "type": "llama3", "factor": 2}})"),
             ContainsSubstring("rope_type is linear but type is llama3"));
  CHECK_THAT(rope_error(R"({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"type": "default"}})"),
             ContainsSubstring("differ"));
  CHECK_THAT(rope_error(R"({"rope_scaling": {"type": "linear", "factor": 0}})"), ContainsSubstring("factor is 0"));
  CHECK_THAT(rope_error(R"({"rope_scaling": {"type": "linear"}})"), ContainsSubstring("factor is missing"));
  CHECK_THAT(rope_error(R"({"rope_theta": -1})"), ContainsSubstring("rope_theta is -1"));
  CHECK_THAT(rope_error(R"({"partial_rotary_factor": 0.5})"), ContainsSubstring("partial_rotary_factor is 0.5"));
  CHECK_THAT(rope_error(R"({"rope_parameters": {"partial_rotary_factor": 0.25}})"), ContainsSubstring("0.25"));
  CHECK_THAT(rope_error(R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
                            "high_freq_factor": 1, "original_max_position_embeddings": 64}})"),
             ContainsSubstring("high_freq_factor 1 is not above low_freq_factor 4"));
}

TEST_CASE("head_dim falls back to hidden over heads when it is missing or null") {
  CHECK(parse_decoder(parse(decoder(""))).head_dim == 16);
  CHECK(parse_decoder(parse(decoder(R"(, "head_dim": null)")), 128).head_dim == 16);
  CHECK(parse_decoder(parse(decoder(R"(, "head_dim": 24)"))).head_dim == 24);
  CHECK(parse_decoder(parse(decoder("")), 128).head_dim == 128);  // the family's own default
}

TEST_CASE("without num_key_value_heads every query head has its own key head") {
  CHECK(parse_decoder(parse(decoder(""))).kv_heads == 4);
  CHECK(parse_decoder(parse(decoder(R"(, "num_key_value_heads": 2)"))).kv_heads == 2);
}

TEST_CASE("the activation is read by the names that transformers uses") {
  CHECK(parse_decoder(parse(decoder(""))).activation == Activation::silu);
  CHECK(parse_decoder(parse(decoder(R"(, "hidden_act": "gelu_pytorch_tanh")"))).activation == Activation::gelu_tanh);
  CHECK_THAT(decoder_error(R"(, "hidden_act": "relu")"),
             ContainsSubstring("hidden_act is \"relu\"") && ContainsSubstring("silu"));
  CHECK_THAT(decoder_error(R"(, "hidden_act": "gelu")"), ContainsSubstring("gelu"));  // the exact one, not tanh
}

TEST_CASE("sizes that cannot be are errors before anything is allocated") {
  CHECK_THAT(decoder_error(R"(, "num_key_value_heads": 3)"), ContainsSubstring("does not divide"));
  CHECK_THAT(decoder_error(R"(, "num_key_value_heads": 0)"), ContainsSubstring("num_key_value_heads is 0"));
  CHECK_THAT(decoder_error(R"(, "head_dim": 15)"), ContainsSubstring("head_dim is 15"));
  CHECK_THAT(decoder_error(R"(, "head_dim": -2)"), ContainsSubstring("head_dim is -2"));
  CHECK_THAT(decoder_error(R"(, "rms_norm_eps": 0)"), ContainsSubstring("rms_norm_eps"));
  CHECK_THROWS_AS(parse_decoder(parse(R"({"hidden_size": 1e30})")), Error);
  CHECK_THROWS_AS(parse_decoder(parse(R"({"hidden_size": 9223372036854775807})")), Error);
}

TEST_CASE("which layers are sparse follows decoder_sparse_step and mlp_only_layers") {
  const auto sparse = [](const std::string& members) {
    return parse_moe(
               parse(R"({"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8)" + members + "}"), 4)
        .sparse;
  };
  CHECK(sparse("") == std::vector<bool>{true, true, true, true});
  CHECK(sparse(R"(, "decoder_sparse_step": 2)") == std::vector<bool>{false, true, false, true});
  CHECK(sparse(R"(, "mlp_only_layers": [0, 3])") == std::vector<bool>{false, true, true, false});
  CHECK(sparse(R"(, "decoder_sparse_step": 3, "mlp_only_layers": [2])") == std::vector<bool>(4, false));
  CHECK_THROWS_AS(sparse(R"(, "mlp_only_layers": [4])"), Error);
}

TEST_CASE("the number of experts is read in both spellings, and they must agree") {
  const auto experts = [](const std::string& members) {
    return parse_moe(parse(R"({"num_experts_per_tok": 2, "moe_intermediate_size": 8)" + members + "}"), 1).experts;
  };
  CHECK(experts(R"(, "num_experts": 4)") == 4);
  CHECK(experts(R"(, "num_local_experts": 4)") == 4);
  CHECK(experts(R"(, "num_local_experts": 4, "num_experts": 4)") == 4);
  CHECK_THROWS_AS(experts(R"(, "num_local_experts": 4, "num_experts": 8)"), Error);
  CHECK_THROWS_AS(experts(R"(, "num_experts": 1)"), Error);  // fewer than are chosen
  CHECK_THROWS_AS(experts(""), Error);
}

}  // namespace
}  // namespace strata
