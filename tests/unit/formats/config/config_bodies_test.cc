// The config groups that loaders know, key for key as compressed-tensors' presets serialise them, restated here;
// and whole configs in the two shapes that published checkpoints have.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/config/quantization_config.h"
#include "formats/config/scheme.h"
#include "tests/support/format_group.h"
#include "tests/support/loader_matchers.h"

using namespace strata;
using Json = nlohmann::json;

namespace {

struct Args {
  int bits;
  const char* type;
  const char* strategy;
  Json group_size = nullptr;
  Json scale_dtype = nullptr;
  Json block = nullptr;
  bool symmetric = true;
};

Json arguments(const Args& args, Json dynamic, Json observer) {
  return {{"num_bits", args.bits},
          {"type", args.type},
          {"symmetric", args.symmetric},
          {"strategy", args.strategy},
          {"group_size", args.group_size},
          {"dynamic", std::move(dynamic)},
          {"actorder", nullptr},
          {"block_structure", args.block},
          {"observer", std::move(observer)},
          {"observer_kwargs", Json::object()},
          {"scale_dtype", args.scale_dtype},
          {"zp_dtype", args.symmetric ? Json() : Json("torch.int8")}};
}

Json weights(const Args& args) { return arguments(args, false, "memoryless_minmax"); }
Json static_input(const Args& args) { return arguments(args, false, "static_minmax"); }
Json dynamic_input(const Args& args) { return arguments(args, true, nullptr); }

Json body(const char* format, Json weight_arguments, Json input = nullptr) {
  return {{"format", format},
          {"weights", std::move(weight_arguments)},
          {"input_activations", std::move(input)},
          {"output_activations", nullptr}};
}

constexpr const char* e8m0 = "torch.uint8";
constexpr const char* e4m3 = "torch.float8_e4m3fn";

std::map<std::string, Json> known_bodies() {
  const Args fp4{4, "float", "tensor_group", 16, e4m3}, mxfp4{4, "float", "group", 32, e8m0};
  const Args mxfp6{6, "float", "group", 32, e8m0}, mxfp8{8, "float", "group", 32, e8m0};
  const Args fp8{8, "float", "tensor"}, fp8_rows{8, "float", "channel"}, fp8_token{8, "float", "token"};
  const Args fp8_group{8, "float", "group", 128}, blocks{8, "float", "block", nullptr, nullptr, Json{128, 128}};
  const auto int4 = [](int group, bool symmetric) {
    return body("pack-quantized", weights({4, "int", "group", group, nullptr, nullptr, symmetric}));
  };
  const Json fp8_static = body("float-quantized", weights(fp8), static_input(fp8));
  const Json fp8_blocks = body("float-quantized", weights(blocks), dynamic_input(fp8_group));
  return {{"NVFP4", body("nvfp4-pack-quantized", weights(fp4), arguments(fp4, "local", "static_minmax"))},
          {"NVFP4A16", body("nvfp4-pack-quantized", weights(fp4))},
          {"MXFP4", body("mxfp4-pack-quantized", weights(mxfp4), dynamic_input(mxfp4))},
          {"MXFP4A16", body("mxfp4-pack-quantized", weights(mxfp4))},
          {"MXFP4XFP8", body("mxfp4-pack-quantized", weights(mxfp4), dynamic_input(fp8_group))},
          {"MXFP6A16", body("mxfp6-pack-quantized", weights(mxfp6))},
          {"MXFP6A8", body("mxfp6-pack-quantized", weights(mxfp6), dynamic_input(mxfp8))},
          {"MXFP8", body("mxfp8-quantized", weights(mxfp8), dynamic_input(mxfp8))},
          {"MXFP8A16", body("mxfp8-quantized", weights(mxfp8))},
          {"FP8", fp8_static},
          {"FP8_SOURCE_STATIC", fp8_static},
          {"FP8_SOURCE_STATIC_CHANNEL", body("float-quantized", weights(fp8_rows), static_input(fp8))},
          {"FP8_DYNAMIC", body("float-quantized", weights(fp8_rows), dynamic_input(fp8_token))},
          {"FP8_BLOCK", fp8_blocks},
          {"FP8_SOURCE", fp8_blocks},
          {"W4A16", int4(128, true)},
          {"W4A16_G64", int4(64, true)},
          {"W4A16_G32", int4(32, true)},
          {"W4A16_ASYM", int4(128, false)},
          {"W4A16_G64_ASYM", int4(64, false)},
          {"W4A16_G32_ASYM", int4(32, false)},
          {"W8A16", body("pack-quantized", weights({8, "int", "group", 128}))},
          {"W8A16_CHANNEL", body("pack-quantized", weights({8, "int", "channel"}))},
          {"INT8", body("int-quantized", weights({8, "int", "channel"}), dynamic_input({8, "int", "token"}))}};
}

// What stays when fields that are null or empty are left out, as compressed-tensors 0.20 serialises.
Json terse(const Json& value) {
  if (!value.is_object()) return value;
  Json kept = Json::object();
  for (const auto& [key, member] : value.items())
    if (!member.is_null() && member != Json::object()) kept[key] = terse(member);
  return kept;
}

Json section(const char* format, std::vector<std::pair<Json, Json>> groups, Json ignore) {
  Json config_groups = Json::object();
  for (auto& [targets, group] : groups) {
    group["targets"] = targets;
    config_groups["group_" + std::to_string(config_groups.size())] = group;
  }
  return {{"quant_method", "compressed-tensors"}, {"format", format},
          {"quantization_status", "compressed"},  {"global_compression_ratio", nullptr},
          {"kv_cache_scheme", nullptr},           {"sparsity_config", Json::object()},
          {"transform_config", Json::object()},   {"ignore", std::move(ignore)},
          {"config_groups", config_groups}};
}

const NumberFormat* read_group(const Json& group, const Json& top_format = "mixed-precision") {
  Json with_target = group;
  with_target["targets"] = {"Linear"};
  const Json config = {{"quantization_config",
                        {{"quant_method", "compressed-tensors"},
                         {"format", top_format},
                         {"config_groups", {{"group_0", with_target}}}}}};
  return QuantizationConfig::parse(Config::parse(config.dump(), "config.json")).format_of("x");
}

constexpr const char* in_layers = "re:^(?:model[.])?(?:language_model[.])?(?:model[.])?layers[.][0-9]+[.]";

// A dense model with a vision tower whose Linears are kept.
std::vector<LinearFormat> multimodal(std::string_view attention, std::string_view ffn) {
  std::vector<LinearFormat> linears;
  for (int layer = 0; layer < 12; ++layer) {
    const std::string prefix = "model.language_model.layers." + std::to_string(layer) + ".";
    for (const char* const name : {"q_proj", "k_proj", "v_proj"})
      linears.push_back({prefix + "self_attn." + name,
                         &require_number_format(attention),
                         {"q_proj", "k_proj", "v_proj"},
                         "qkv_proj"});
    linears.push_back({prefix + "self_attn.o_proj", &require_number_format(attention), {}, ""});
    for (const char* const name : {"gate_proj", "up_proj"})
      linears.push_back(
          {prefix + "mlp." + name, &require_number_format(ffn), {"gate_proj", "up_proj"}, "gate_up_proj"});
    linears.push_back({prefix + "mlp.down_proj", &require_number_format(ffn), {}, ""});
  }
  const NumberFormat* const keep = &require_number_format("KEEP");
  linears.push_back({"model.vision_tower.transformer.layers.0.attention.q_proj", keep, {}, ""});
  linears.push_back({"model.multi_modal_projector.linear_1", keep, {}, ""});
  linears.push_back({"lm_head", keep, {}, ""});
  return linears;
}

// Both configs give every module of the model the same scheme, by either loader and under every name.
void check_same_choices(const std::vector<LinearFormat>& linears, const std::string& ours, const Json& published) {
  test::LoaderMatchers a(ours), b(Json{{"quantization_config", published}}.dump());
  for (const LinearFormat& linear : linears) {
    std::string module = linear.module;
    INFO(module);
    CHECK(a.scheme(a.by_transformers(module)) == b.scheme(b.by_transformers(module)));
    if (module.starts_with("model.")) module.erase(0, 6);
    if (module.starts_with("language_model.")) module.insert(15, "model.");
    const bool head = module == "lm_head";  // the runtime has no Linear for it: a class target does not match
    const test::VllmModule single{.name = module, .class_name = head ? "ParallelLMHead" : "RowParallelLinear"};
    CHECK(a.scheme(a.by_vllm(single, test::VllmOrder::name_fused_class)) ==
          b.scheme(b.by_vllm(single, test::VllmOrder::name_fused_class)));
    if (linear.fused_name.empty()) continue;
    const std::string parent = module.substr(0, module.rfind('.') + 1);
    test::VllmModule merged{.name = parent + linear.fused_name, .class_name = "QKVParallelLinear"};
    for (const std::string& shard : linear.fused_with) merged.shards.push_back(parent + shard);
    for (const auto order : {test::VllmOrder::name_fused_class, test::VllmOrder::name_class_fused})
      CHECK(a.scheme(a.by_vllm(merged, order)) == b.scheme(b.by_vllm(merged, order)));
  }
}

void check_same_frame(const std::string& ours, const Json& published) {
  const Json section = Json::parse(ours)["quantization_config"];
  for (const auto& [key, value] : published.items())
    if (key != "config_groups" && key != "ignore") CHECK(section[key] == value);
  std::vector<Json> bodies, expected;
  for (const auto& [name, group] : section["config_groups"].items()) bodies.push_back(group);
  for (const auto& [name, group] : published["config_groups"].items()) expected.push_back(group);
  for (std::vector<Json>* const groups : {&bodies, &expected}) {
    for (Json& group : *groups) group.erase("targets");
    std::sort(groups->begin(), groups->end());
  }
  CHECK(bodies == expected);
}

}  // namespace

TEST_CASE("every format's group is the one that compressed-tensors has for it, key for key") {
  const std::map<std::string, Json> known = known_bodies();
  for (const NumberFormat* const format : number_formats()) {
    INFO(format->name);
    if (!format->quantizes()) continue;
    const auto body = known.find(std::string(format->name));
    if (!format->serving.any() && body == known.end()) continue;  // research: nobody has a group for it
    REQUIRE(body != known.end());
    CHECK(test::group_of(*format) == body->second);
  }
}

TEST_CASE("every group is read back as its format, spelt out and with what is null left out") {
  for (const auto& [name, group] : known_bodies()) {
    INFO(name);
    const NumberFormat& format = require_number_format(name);
    for (Json spelling : {group, terse(group)}) {
      const NumberFormat* const read = read_group(spelling);
      REQUIRE(read != nullptr);
      CHECK(read->scheme == format.scheme);
      CHECK_FALSE((read->source_only && read != &format));  // of equal groups the one that can be encoded
      spelling["weights"]["actorder"] = "static";
      CHECK(read_group(spelling) == read);
      spelling.erase("format");  // told from the arguments, or said at the top
      CHECK(read_group(spelling, group["format"]) == read);
      CHECK(read_group(spelling) == read);
    }
  }
}

TEST_CASE("older spellings of blocks and scales mean the same") {
  Json group = known_bodies().at("FP8_BLOCK");
  group["weights"]["block_structure"] = "128x128";
  CHECK(read_group(group)->name == "FP8_BLOCK");
  group["weights"].erase("strategy");
  CHECK(read_group(group)->name == "FP8_BLOCK");
  for (const Json& broken :
       {Json("128x"), Json("x128"), Json("128"), Json("128x0"), Json("128x128x"), Json{128}, Json{0, 128}}) {
    group["weights"]["block_structure"] = broken;
    CHECK_THROWS_AS(read_group(group), Error);
  }
  group["weights"]["block_structure"] = {64, 64};
  CHECK_THROWS_AS(read_group(group), Error);

  group = known_bodies().at("MXFP4");
  for (const char* const side : {"weights", "input_activations"}) group[side].erase("scale_dtype");
  CHECK(read_group(group)->name == "MXFP4");
  group = known_bodies().at("MXFP8A16");
  group["weights"].erase("scale_dtype");
  CHECK(read_group(group)->name == "MXFP8A16");  // the format says it
  group["format"] = "float-quantized";
  CHECK_THROWS_AS(read_group(group), Error);  // scales of 32 columns in plain floats: nothing of ours
}

TEST_CASE("arguments that change the bytes are told apart") {
  Json group = known_bodies().at("W4A16");
  const auto changed = [&](const char* key, const Json& value) {
    Json other = group;
    other["weights"][key] = value;
    return other;
  };
  CHECK(read_group(changed("group_size", 64))->name == "W4A16_G64");
  CHECK(read_group(changed("symmetric", false))->name == "W4A16_ASYM");
  CHECK(read_group(changed("num_bits", 8))->name == "W8A16");
  CHECK_THROWS_AS(read_group(changed("type", "float")), Error);
  CHECK_THROWS_AS(read_group(changed("scale_dtype", "torch.uint8")), Error);
  CHECK_THROWS_AS(read_group(changed("actorder", "group")), Error);
  CHECK_THROWS_AS(read_group(changed("actorder", "dynamic")), Error);
  CHECK_THROWS_AS(read_group(changed("actorder", "sideways")), Error);
  group = known_bodies().at("NVFP4");
  CHECK_THROWS_AS(read_group(changed("scale_dtype", "torch.uint8")), Error);
  group = known_bodies().at("FP8");
  group["format"] = "naive-quantized";  // the same bytes
  CHECK(read_group(group)->name == "FP8");
}

TEST_CASE("a single group comes out as llm-compressor has it, and chooses the same modules") {
  const std::vector<LinearFormat> linears = multimodal("NVFP4", "NVFP4");
  const Json published = section("nvfp4-pack-quantized", {{{"Linear"}, known_bodies().at("NVFP4")}},
                                 {"lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"});
  const std::string ours = quantized_config_json(R"({"model_type": "mistral3"})", linears);
  check_same_frame(ours, published);
  check_same_choices(linears, ours, published);
}

TEST_CASE("MXFP4 with FP8 attention comes out as a mixed config, and chooses the same modules") {
  const std::vector<LinearFormat> linears = multimodal("FP8", "MXFP4A16");
  const Json mlp = {std::string(in_layers) + "mlp[.](?:gate_proj|up_proj|gate_up_proj|down_proj)$"};
  const Json attention = {std::string(in_layers) + "self_attn[.](?:q_proj|k_proj|v_proj|qkv_proj|o_proj)$"};
  const Json published =
      section("mixed-precision", {{mlp, known_bodies().at("MXFP4A16")}, {attention, known_bodies().at("FP8")}},
              {"re:^(?:.*[.])?lm_head$", "re:^(?:model[.])?vision_tower[.].*$",
               "re:^(?:model[.])?multi_modal_projector[.].*$"});
  const std::string ours = quantized_config_json(R"({"model_type": "mistral3"})", linears);
  check_same_frame(ours, published);
  check_same_choices(linears, ours, published);
}

TEST_CASE("a quantized cache is written as a scheme of its own and read back") {
  const Json scheme = static_input({8, "float", "tensor"});
  const std::vector<LinearFormat> linears = multimodal("FP8_DYNAMIC", "NVFP4A16");
  const std::string text = quantized_config_json("{}", linears, {.kv_cache_fp8 = true});
  CHECK(Json::parse(text)["quantization_config"]["kv_cache_scheme"] == scheme);
  CHECK(QuantizationConfig::parse(Config::parse(text, "config.json")).kv_cache_fp8());
  const std::string plain = quantized_config_json("{}", linears);
  CHECK(Json::parse(plain)["quantization_config"]["kv_cache_scheme"].is_null());
  CHECK_FALSE(QuantizationConfig::parse(Config::parse(plain, "config.json")).kv_cache_fp8());

  Json config = Json::parse(text);
  Json& written = config["quantization_config"]["kv_cache_scheme"];
  written = terse(scheme);
  CHECK(QuantizationConfig::parse(Config::parse(config.dump(), "config.json")).kv_cache_fp8());
  for (const auto& [key, value] : std::map<std::string, Json>{
           {"strategy", "attn_head"}, {"num_bits", 4}, {"type", "int"}, {"dynamic", true}, {"symmetric", false}}) {
    written = scheme;
    written[key] = value;
    CHECK_THROWS_AS(QuantizationConfig::parse(Config::parse(config.dump(), "config.json")), Error);
  }
}

TEST_CASE("a quantized cache alone leaves every Linear dense") {
  const std::vector<LinearFormat> linears = multimodal("KEEP", "BF16");
  const std::string text = quantized_config_json("{}", linears, {.kv_cache_fp8 = true});
  const Json config = Json::parse(text)["quantization_config"];
  CHECK(config["config_groups"] == Json::object());
  CHECK(config["format"] == "dense");
  const QuantizationConfig read = QuantizationConfig::parse(Config::parse(text, "config.json"));
  CHECK(read.kv_cache_fp8());
  CHECK(read.empty());
  for (const LinearFormat& linear : linears) CHECK(read.format_of(linear.module) == nullptr);
}
