#include "formats/config/quantization_config.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/config/json_edit.h"
#include "tests/support/format_group.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::json;

namespace {

std::string error_of(const std::function<void()>& body, Fault fault) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.fault == fault);
    return error.what();
  }
  return "no error";
}

// The Linears of one layer; `attention` and `ffn` are their formats.
void add_layer(std::vector<LinearFormat>& linears, int layer, std::string_view attention, std::string_view ffn) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  for (const char* const name : {"q_proj", "k_proj", "v_proj"})
    linears.push_back(
        {prefix + "self_attn." + name, &require_number_format(attention), {"q_proj", "k_proj", "v_proj"}, "qkv_proj"});
  linears.push_back({prefix + "self_attn.o_proj", &require_number_format(attention), {}, ""});
  for (const char* const name : {"gate_proj", "up_proj"})
    linears.push_back({prefix + "mlp." + name, &require_number_format(ffn), {"gate_proj", "up_proj"}, "gate_up_proj"});
  linears.push_back({prefix + "mlp.down_proj", &require_number_format(ffn), {}, ""});
}

Json written(std::span<const LinearFormat> linears, std::string_view source = R"({"model_type": "llama"})") {
  return Json::parse(quantized_config_json(source, linears))["quantization_config"];
}

QuantizationConfig parsed(const Json& section) {
  return QuantizationConfig::parse(Config::parse(Json{{"quantization_config", section}}.dump(), "config.json"));
}

std::string name_of(const QuantizationConfig& config, std::string_view module) {
  const NumberFormat* const format = config.format_of(module);
  return format == nullptr ? "dense" : std::string(format->name);
}

// As llm-compressor writes it.
Json llm_compressor(std::string_view format) {
  Json group = test::group_of(require_number_format(format));
  group["targets"] = {"Linear"};
  return {{"quant_method", "compressed-tensors"},
          {"format", group["format"]},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", group}}},
          {"ignore", {"lm_head", "re:.*[.]mlp[.]gate$"}}};
}

}  // namespace

TEST_CASE("a uniform model gets one group and the format of it") {
  std::vector<LinearFormat> linears;
  for (int layer = 0; layer < 3; ++layer) add_layer(linears, layer, "NVFP4", "NVFP4");
  linears.push_back({"lm_head", &require_number_format("KEEP"), {}, ""});
  const Json config = written(linears);
  CHECK(config["quant_method"] == "compressed-tensors");
  CHECK(config["quantization_status"] == "compressed");
  CHECK(config["format"] == "nvfp4-pack-quantized");
  CHECK(config["sparsity_config"] == Json::object());
  CHECK(config["transform_config"] == Json::object());
  CHECK(config["kv_cache_scheme"].is_null());
  CHECK(config["ignore"] == Json{"re:^(?:.*[.])?lm_head$"});
  REQUIRE(config["config_groups"].size() == 1);
  const std::string any = "re:^(?:model[.])?(?:language_model[.])?(?:model[.])?layers[.](?:0|1|2)[.]";
  CHECK(config["config_groups"]["group_00"]["targets"] ==
        Json{any + "mlp[.](?:gate_proj|up_proj|gate_up_proj|down_proj)$",
             any + "self_attn[.](?:q_proj|k_proj|v_proj|qkv_proj|o_proj)$"});
  CHECK(config["config_groups"]["group_00"]["input_activations"]["dynamic"] == "local");
}

TEST_CASE("mixed models name every format and every layer") {
  std::vector<LinearFormat> linears;
  add_layer(linears, 0, "FP8_DYNAMIC", "W4A16");
  add_layer(linears, 1, "BF16", "W4A16");
  add_layer(linears, 11, "FP8_DYNAMIC", "KEEP");
  const Json config = written(linears);
  CHECK(config["format"] == "mixed-precision");
  const std::string any = "re:^(?:model[.])?(?:language_model[.])?(?:model[.])?layers[.]";
  CHECK(config["config_groups"]["group_00"]["targets"] ==
        Json{any + "(?:0|11)[.]self_attn[.](?:q_proj|k_proj|v_proj|qkv_proj|o_proj)$"});
  CHECK(config["config_groups"]["group_00"]["format"] == "float-quantized");
  CHECK(config["config_groups"]["group_01"]["targets"] ==
        Json{any + "(?:0|1)[.]mlp[.](?:gate_proj|up_proj|gate_up_proj|down_proj)$"});
  CHECK(config["ignore"] == Json{any + "11[.]mlp[.](?:gate_proj|up_proj|gate_up_proj|down_proj)$",
                                 any + "1[.]self_attn[.](?:q_proj|k_proj|v_proj|qkv_proj|o_proj)$",
                                 "re:^(?:.*[.])?lm_head$"});
}

TEST_CASE("two groups of one stored format are not mixed precision") {
  std::vector<LinearFormat> linears;
  add_layer(linears, 0, "NVFP4", "NVFP4A16");
  CHECK(written(linears)["format"] == "nvfp4-pack-quantized");
  CHECK(written(linears)["config_groups"].size() == 2);
}

TEST_CASE("the config does not depend on the order of the Linears' formats") {
  std::vector<LinearFormat> linears, reversed;
  add_layer(linears, 0, "W4A16", "FP8_DYNAMIC");
  add_layer(linears, 1, "W4A16", "FP8_DYNAMIC");
  add_layer(reversed, 1, "W4A16", "FP8_DYNAMIC");
  add_layer(reversed, 0, "W4A16", "FP8_DYNAMIC");
  CHECK(written(linears) == written(reversed));
}

TEST_CASE("without a quantized Linear there is no quantization_config") {
  std::vector<LinearFormat> linears;
  add_layer(linears, 0, "BF16", "KEEP");
  const std::string source = "{\n  \"a\": 1e-06,\n  \"quantization_config\": {\"quant_method\": \"fp8\"}\n}\n";
  CHECK(quantized_config_json(source, linears) == "{\n  \"a\": 1e-06\n}\n");
}

TEST_CASE("what is served as one must have one scheme") {
  std::vector<LinearFormat> linears;
  add_layer(linears, 4, "NVFP4", "NVFP4");
  linears[1].format = &require_number_format("KEEP");
  CHECK_THAT(
      error_of([&] { written(linears); }, Fault::usage),
      ContainsSubstring("model.layers.4.self_attn.k_proj: is KEEP but model.layers.4.self_attn.q_proj is NVFP4") &&
          ContainsSubstring("qkv_proj"));
  linears.clear();
  for (const char* const name : {"0.gate_proj", "0.down_proj", "1.gate_proj", "1.down_proj"})
    linears.push_back({std::string("model.layers.0.mlp.experts.") + name, &require_number_format("W4A16"), {}, ""});
  CHECK_NOTHROW(written(linears));
  linears.back().format = &require_number_format("FP8_DYNAMIC");
  CHECK_THAT(error_of([&] { written(linears); }, Fault::usage), ContainsSubstring("served as one (experts)"));
  linears.front().format = linears[1].format = linears[2].format = &require_number_format("BF16");
  linears.back().format = &require_number_format("KEEP");  // both dense: the same to a server
  CHECK_NOTHROW(written(linears));
}

TEST_CASE("experts collapse, and only routed experts mention their name") {
  std::vector<LinearFormat> linears;
  for (int expert = 0; expert < 12; ++expert)
    linears.push_back({"model.layers.2.mlp.experts." + std::to_string(expert) + ".gate_proj",
                       &require_number_format("W4A16"),
                       {"gate_proj", "up_proj"},
                       "gate_up_proj"});
  linears.push_back({"model.layers.2.mlp.shared_experts.up_proj", &require_number_format("FP8_DYNAMIC"), {}, ""});
  linears.push_back({"model.layers.2.mlp.gate", &require_number_format("KEEP"), {}, ""});
  const Json config = written(linears);
  CHECK_THAT(config["config_groups"]["group_00"]["targets"][0].get<std::string>(),
             ContainsSubstring("mlp[.]shared_expert[s][.]up_proj$"));
  CHECK_THAT(config["config_groups"]["group_01"]["targets"][0].get<std::string>(),
             ContainsSubstring("layers[.]2[.]mlp[.]experts[.][0-9]+[.](?:gate_proj|up_proj|gate_up_proj)$"));
  CHECK_THAT(config["ignore"][0].get<std::string>(), ContainsSubstring("layers[.]2[.]mlp[.]gate$"));
  const QuantizationConfig read = parsed(config);
  CHECK(name_of(read, "model.layers.2.mlp.experts.7.up_proj") == "W4A16");
  CHECK(name_of(read, "model.layers.2.mlp.shared_experts.up_proj") == "FP8_DYNAMIC");
  CHECK(read.format_of("model.layers.2.mlp.gate") == nullptr);
}

TEST_CASE("the source's config keeps its bytes") {
  std::vector<LinearFormat> linears;
  add_layer(linears, 0, "W4A16", "W4A16");
  const std::string source =
      "{\n    \"rms_norm_eps\": 1e-06, \"z\": 1.0,\n    \"quantization_config\": {\"a\": [1, \"}\\\"\"]},\n"
      "    \"text_config\": {\n        \"quantization_config\": {\"quant_method\": \"fp8\"},\n        \"rope_theta\": "
      "1000000.0\n    },\n"
      "    \"compression_config\": null,\n    \"name\": \"caf\\u00e9\"\n}\n";
  const std::string text = quantized_config_json(source, linears);
  CHECK_THAT(
      text,
      ContainsSubstring(
          "{\n    \"rms_norm_eps\": 1e-06, \"z\": 1.0,\n    \"text_config\": {\n        \"rope_theta\": "
          "1000000.0\n    },\n    \"name\": \"caf\\u00e9\",\n    \"quantization_config\": {\n      \"quant_method\""));
  CHECK_THAT(text, Catch::Matchers::EndsWith("\n    }\n}\n"));
  CHECK(Json::parse(text).size() == 5);
  CHECK(quantized_config_json(text, linears) == text);  // quantizing again replaces ours
}

TEST_CASE("a broken source config is refused") {
  std::vector<LinearFormat> linears;
  add_layer(linears, 0, "W4A16", "W4A16");
  CHECK_THAT(error_of([&] { quantized_config_json("{\"a\": 1,", linears); }, Fault::input),
             ContainsSubstring("config.json"));
}

TEST_CASE("members are removed and added at any place of an object") {
  CHECK(without_member("{\"a\": 1, \"b\": [2, {}], \"c\": \"x\"}", "b") == "{\"a\": 1, \"c\": \"x\"}");
  CHECK(without_member("{\"a\": 1, \"b\": -2.5e3}", "b") == "{\"a\": 1}");
  CHECK(without_member("{\"a\": 1, \"b\": 2}", "a") == "{\"b\": 2}");
  CHECK(without_member("{\"a\": {\"b\": 1}}", "a") == "{}");
  CHECK(without_member("{\"a\": {\"b\": 1}}", "b") == "{\"a\": {\"b\": 1}}");
  CHECK(without_member("{\"a\": {\"b\": 1}}", "b", "a") == "{\"a\": {}}");
  CHECK(without_member(R"({"\u0062": 1, "a\"": {"c": 2, "\u0063d": 3}})", "b") == R"({"a\"": {"c": 2, "\u0063d": 3}})");
  CHECK(without_member(R"({"a\u0022": {"c": 2, "\u0063d": 3}})", "cd", "a\"") == R"({"a\u0022": {"c": 2}})");
  CHECK(without_member("{\"a\": 3}", "b", "a") == "{\"a\": 3}");
  CHECK(with_value("{\"a\": true, \"b\": {\"a\": 1}}", "a", "false") == "{\"a\": false, \"b\": {\"a\": 1}}");
  CHECK(with_value("{\"a\": true, \"b\": {\"a\": [1, 2]}}", "a", "3", "b") == "{\"a\": true, \"b\": {\"a\": 3}}");
  CHECK(with_value("{\"a\": {\"b\": 1}}", "b", "2") == "{\"a\": {\"b\": 1}}");
  CHECK(with_value("{\"a\": 3}", "b", "2", "a") == "{\"a\": 3}");
  CHECK(with_member("{}", "k", "1") == "{\n  \"k\": 1\n}");
  CHECK(with_member("{\"a\": 1}", "k", "{\n  \"b\": 2\n}") == "{\"a\": 1, \"k\": {\n  \"b\": 2\n}}");
  CHECK(with_member("{\n \"a\": 1\n}", "k", "{\n  \"b\": 2\n}") == "{\n \"a\": 1,\n \"k\": {\n   \"b\": 2\n }\n}");
}

TEST_CASE("llm-compressor's configs are read") {
  for (const char* const name : {"NVFP4", "NVFP4A16", "W4A16", "FP8_DYNAMIC"}) {
    const QuantizationConfig config = parsed(llm_compressor(name));
    CHECK(name_of(config, "model.layers.0.self_attn.q_proj") == name);
    CHECK(name_of(config, "model.layers.0.mlp.experts.3.up_proj") == name);
    CHECK(config.format_of("model.layers.0.mlp.gate") == nullptr);
    CHECK(config.format_of("lm_head") == nullptr);
  }
}

TEST_CASE("fields that compressed-tensors omits have its defaults") {
  Json config = llm_compressor("W4A16");
  config.erase("format");
  config["config_groups"]["group_0"] = {{"targets", {"Linear"}}, {"weights", {{"num_bits", 4}, {"group_size", 128}}}};
  CHECK(name_of(parsed(config), "x") == "W4A16");
}

TEST_CASE("exact names win over expressions, and expressions in order of their text") {
  Json config = llm_compressor("W4A16");
  Json fp8 = test::group_of(require_number_format("FP8_DYNAMIC")),
       fp4 = test::group_of(require_number_format("NVFP4A16"));
  fp8["targets"] = {"a.b.c", "re:.*z$"};
  fp4["targets"] = {"re:a.*"};
  config["format"] = "mixed-precision";
  config["config_groups"]["group_1"] = fp8;
  config["config_groups"]["group_2"] = fp4;
  const QuantizationConfig read = parsed(config);
  CHECK(name_of(read, "a.b.c") == "FP8_DYNAMIC");
  CHECK(name_of(read, "a.b.d") == "NVFP4A16");
  CHECK(name_of(read, "a.b.z") == "FP8_DYNAMIC");  // "re:.*z$" sorts before "re:a.*"
  CHECK(name_of(read, "b") == "W4A16");
}

TEST_CASE("of equal targets the last group's counts, and names are not patterns") {
  Json config = llm_compressor("W4A16");
  Json fp8 = test::group_of(require_number_format("FP8_DYNAMIC"));
  config["format"] = "mixed-precision";
  config["config_groups"]["group_0"]["targets"] = {"re:a.*", "b", "c*", "Linear"};
  fp8["targets"] = {"re:a.*", "b"};
  config["config_groups"]["group_1"] = fp8;
  config["ignore"] = {"d", "re:ab"};
  const QuantizationConfig read = parsed(config);
  CHECK(name_of(read, "ax") == "FP8_DYNAMIC");
  CHECK(name_of(read, "b") == "FP8_DYNAMIC");
  CHECK(name_of(read, "cx") == "W4A16");  // by its class, not by "c*"
  CHECK(name_of(read, "d") == "dense");
  CHECK(name_of(read, "abc") == "dense");
}

TEST_CASE("an expression that takes too long is a fault of its file") {
  Json config = llm_compressor("W4A16");
  config["config_groups"]["group_0"]["targets"] = {"re:(.*.*)*(.*.*)*x$"};
  const QuantizationConfig read = parsed(config);
  CHECK_THAT(error_of([&] { (void)read.format_of("model.layers.0.mlp.experts.0.gate_proj"); }, Fault::input),
             ContainsSubstring("config.json: quantization_config: pattern 're:(.*.*)*(.*.*)*x$': gave up on"));
}

TEST_CASE("a config is found where compressed-tensors looks") {
  CHECK(QuantizationConfig::parse(Config::parse("{}", "config.json")).empty());
  CHECK(QuantizationConfig::parse(Config::parse(R"({"quantization_config": null})", "config.json")).empty());
  for (const Json& text : {Json{{"text_config", {{"quantization_config", llm_compressor("W4A16")}}}},
                           Json{{"compression_config", llm_compressor("W4A16")}}})
    CHECK_FALSE(QuantizationConfig::parse(Config::parse(text.dump(), "config.json")).empty());
}

TEST_CASE("what is not read is named") {
  const auto message = [](const Json& config) { return error_of([&] { parsed(config); }, Fault::input); };
  Json config = llm_compressor("W4A16");
  config["quant_method"] = "gptq";
  CHECK_THAT(message(config), ContainsSubstring("quant_method is \"gptq\""));
  config = llm_compressor("W4A16");
  config["config_groups"]["group_0"]["weights"]["num_bits"] = 3;
  CHECK_THAT(message(config), ContainsSubstring("group_0") && ContainsSubstring("3-bit int, group 128"));
  config["config_groups"]["group_0"]["weights"]["num_bits"] = 4;
  config["config_groups"]["group_0"]["weights"]["symmetric"] = false;
  config["config_groups"]["group_0"]["weights"]["group_size"] = 96;
  CHECK_THAT(message(config), ContainsSubstring("4-bit int asymmetric, group 96"));
  config["config_groups"]["group_0"]["weights"]["group_size"] = 128;
  config["config_groups"]["group_0"]["weights"]["symmetric"] = true;
  config["config_groups"]["group_0"]["weights"]["actorder"] = "group";
  CHECK_THAT(message(config), ContainsSubstring("actorder"));
  config["config_groups"]["group_0"]["weights"]["actorder"] = "static";
  CHECK(message(config) == "no error");
  config["config_groups"]["group_0"]["format"] = "marlin-24";
  CHECK_THAT(message(config), ContainsSubstring("marlin-24"));
  config = llm_compressor("FP8_DYNAMIC");
  config["config_groups"]["group_0"]["input_activations"]["dynamic"] = false;
  CHECK_THAT(message(config), ContainsSubstring("inputs 8-bit float, token"));
  config = llm_compressor("FP8_DYNAMIC");
  config["ignore"] = {"re:(unclosed"};
  CHECK_THAT(message(config), ContainsSubstring("config.json: quantization_config: pattern 're:(unclosed'"));
  config = llm_compressor("FP8_DYNAMIC");
  config["transform_config"] = {{"config_groups", Json::object()}};
  CHECK_THAT(message(config), ContainsSubstring("transform_config"));
  config = llm_compressor("FP8_DYNAMIC");
  config["config_groups"]["group_0"].erase("weights");
  CHECK_THAT(message(config), ContainsSubstring("no weights"));
  config["config_groups"]["group_0"]["targets"] = {"LlamaAttention"};
  CHECK(message(config) == "no error");
}
