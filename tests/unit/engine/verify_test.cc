// Outputs that are right pass; each way of breaking one is caught by the rule that is there for it.
#include "engine/verify.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>

#include "tests/support/thrown.h"
#include "tests/unit/engine/verify_output.h"

using namespace strata;
using namespace strata::test;

namespace {

std::string text_of(const VerifyReport& report) {
  std::string text;
  for (const auto& [rule, subject, message] : report.failures)
    text += fmt::format("{}: {}: {}\n", rule, subject, message);
  return text;
}

std::string fact(const VerifyReport& report, const std::string& key) {
  for (const auto& [name, value] : report.facts)
    if (name == key) return value;
  return "(none)";
}

// Exactly these rules fail, and some message of theirs holds `part`.
void check_caught(const Output& output, const std::set<std::string>& rules, const std::string& part,
                  bool with_source = true) {
  const VerifyReport report = output.report(with_source);
  const std::string text = text_of(report);
  CAPTURE(text);
  std::set<std::string> failed;
  for (const VerifyFinding& finding : report.failures) failed.insert(finding.rule);
  CHECK(failed == rules);
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(part));
}

}  // namespace

TEST_CASE("a right output of every number format passes every rule") {
  for (const char* format : {"NVFP4", "NVFP4A16", "W4A16", "FP8_DYNAMIC", ""}) {
    CAPTURE(format);
    const Output output(body(format));
    output.write();
    const VerifyReport report = output.report();
    CHECK(text_of(report) == "");
    CHECK(fact(report, "family") == "qwen3_moe");
    CHECK(fact(report, "not checked") == "(none)");
    CHECK(fact(output.report(false), "not checked") ==
          "coverage, kept-bytes, config-kept, sidecars, weight-error: they need --source");
  }
}

TEST_CASE("the facts say which loaders take an output") {
  const auto loaders = [](const Formats& formats) {
    const Output output(formats);
    output.write();
    const VerifyReport report = output.report();
    CHECK(text_of(report) == "");
    return std::pair(fact(report, "vLLM"), fact(report, "transformers"));
  };
  using Catch::Matchers::StartsWith, Catch::Matchers::ContainsSubstring;
  CHECK(loaders(body("W4A16")) == std::pair<std::string, std::string>("yes", "yes"));
  const auto [vllm, transformers] = loaders(body("NVFP4A16"));
  CHECK(vllm == "yes");
  CHECK_THAT(transformers, StartsWith("no") && ContainsSubstring("weight_global_scale of NVFP4A16 experts"));
  CHECK(loaders([](const std::string& module) {
          return is_body(module) && !is_expert(module) ? "NVFP4" : "";
        }).second == "yes");
  const auto mixed = loaders([](const std::string& module) {
    if (!is_expert(module)) return "";
    return module.starts_with("model.layers.1.") ? "W4A16" : "FP8_DYNAMIC";
  });
  CHECK(mixed.first == "yes");
  CHECK_THAT(mixed.second, StartsWith("no") && ContainsSubstring("one scheme for all experts"));
  CHECK_THAT(loaders([](const std::string& module) { return module == "lm_head" ? "NVFP4A16" : ""; }).first,
             StartsWith("no") && ContainsSubstring("lm_head is NVFP4A16"));
}

TEST_CASE("a global scale out of range is caught") {
  for (const float value : {0.0f, -1.0f, std::nanf(""), HUGE_VALF}) {
    CAPTURE(value);
    Output output(body("NVFP4"));
    output.set_float("model.layers.0.self_attn.o_proj.weight_global_scale", value);
    output.write();
    check_caught(output, {"global-scale"}, "o_proj.weight_global_scale", false);
  }
  Output output(body("NVFP4"));
  output.set_float("model.layers.0.self_attn.o_proj.input_global_scale", 0);
  output.write();
  check_caught(output, {"global-scale"}, "o_proj.input_global_scale: is 0", false);
}

TEST_CASE("a block scale that is NaN or negative is caught") {
  for (const int code : {0x7f, 0xff, 0x81}) {
    Output output(body("NVFP4A16"));
    output.tensor("model.layers.0.self_attn.o_proj.weight_scale").bytes[5] = static_cast<std::byte>(code);
    output.write();
    check_caught(output, {"scale-range"}, fmt::format("byte 5 is 0x{:02x}", code), false);
  }
}

TEST_CASE("a float scale that is not finite, negative, or zero over codes is caught") {
  const std::pair<std::uint16_t, const char*> cases[] = {
      {0x7f80, "is inf"}, {0x7fc0, "is nan"}, {0xbf80, "is -1"}, {0x0000, "is 0, but the codes under it are not"}};
  for (const auto& [bits, part] : cases)
    for (const char* format : {"W4A16", "FP8_DYNAMIC"}) {
      CAPTURE(part, format);
      Output output(body(format));
      std::memcpy(output.tensor("model.layers.0.mlp.up_proj.weight_scale").bytes.data() + 6, &bits, 2);
      output.write();
      check_caught(output, {"scale-range"}, std::string("element 3 of 128 ") + part, false);
    }
}

TEST_CASE("a scale of zero over codes of zero is fine") {
  Output output(body("W4A16"));
  std::ranges::fill(output.tensor("model.layers.0.mlp.up_proj.weight_packed").bytes, std::byte{0x88});
  std::ranges::fill(output.tensor("model.layers.0.mlp.up_proj.weight_scale").bytes, std::byte{0});
  output.write();
  CHECK(text_of(output.report(false)) == "");
}

TEST_CASE("an FP8 code that is NaN is caught") {
  Output output(body("FP8_DYNAMIC"));
  output.tensor("model.layers.1.mlp.experts.1.down_proj.weight").bytes[77] = std::byte{0xff};
  output.write();
  check_caught(output, {"codes"}, "experts.1.down_proj.weight: code 77 is 0xff", false);
}

TEST_CASE("a weight_shape that lies is caught") {
  Output output(body("W4A16"));
  output.tensor("model.layers.0.self_attn.k_proj.weight_shape").bytes[0] = std::byte{65};
  output.write();
  check_caught(output, {"weight-shape"}, "says [65, 128], the weight is [64, 128]");
}

TEST_CASE("a missing, reshaped, retyped or foreign tensor is caught") {
  const std::string name = "model.layers.0.self_attn.o_proj.";
  Output missing(body("NVFP4"));
  missing.tensors.erase(name + "weight_scale");
  missing.write();
  check_caught(missing, {"claims"}, "claims: " + name + "weight_scale: ", false);

  Output reshaped(body("NVFP4"));
  reshaped.tensor(name + "weight_global_scale").shape = {1, 1};
  reshaped.write();
  check_caught(reshaped, {"claims"}, "[1, 1]", false);

  Output retyped(body("NVFP4"));
  retyped.tensor(name + "weight_scale").dtype = Dtype::u8;
  retyped.write();
  check_caught(retyped, {"claims"}, "U8", false);

  Output narrow(body("NVFP4"));
  StoredTensor& scale = narrow.tensor(name + "weight_global_scale");
  scale.dtype = Dtype::bf16;
  scale.bytes = {std::byte{0x80}, std::byte{0x3f}};
  narrow.write();
  check_caught(narrow, {"field-dtype"}, "is stored as BF16, expected F32", false);

  Output foreign(body("NVFP4"));
  foreign.tensors["model.extra"] = random_tensor("model.extra", {4}, Dtype::bf16, 1);
  foreign.write();
  check_caught(foreign, {"claims"}, "claims: model.extra: ", false);
  check_caught(foreign, {"claims", "coverage"}, "coverage: model.extra: is not in the source");
}

TEST_CASE("fused siblings of different formats or scales are caught") {
  Output format([](const std::string& module) {
    return module == "model.layers.0.self_attn.q_proj" ? "FP8_DYNAMIC" : is_body(module) ? "NVFP4A16" : "";
  });
  format.write();
  check_caught(format, {"fused-format"}, "model.layers.0.self_attn.qkv_proj: ");

  Output scale(body("NVFP4A16"));
  float value = 0;
  std::memcpy(&value, scale.tensor("model.layers.1.mlp.experts.0.up_proj.weight_global_scale").bytes.data(), 4);
  scale.set_float("model.layers.1.mlp.experts.0.up_proj.weight_global_scale", std::nextafter(value, 2 * value));
  scale.write();
  check_caught(scale, {"fused-scale"}, "experts.0.up_proj.weight_global_scale");
}

TEST_CASE("experts that do not share their input scale or their format are caught") {
  Output scale(body("NVFP4"));
  scale.set_float("model.layers.2.mlp.experts.1.down_proj.input_global_scale", 7);
  scale.write();
  check_caught(scale, {"input-scale"}, "experts.1.down_proj.input_global_scale: is 7, but that of");

  Output format([](const std::string& module) { return is_expert(module) ? "W4A16" : ""; });
  for (const char* layer : {"model.layers.1.", "model.layers.2."})
    for (const char* projection : {"gate_proj", "up_proj", "down_proj"})
      format.encode_again(fmt::format("{}mlp.experts.1.{}", layer, projection), "FP8_DYNAMIC");
  format.config = two_groups("W4A16", "re:.*experts[.]0[.]", "FP8_DYNAMIC", "re:.*experts[.]1[.]");
  format.write();
  check_caught(format, {"expert-format"}, "model.layers.1: ");
}

TEST_CASE("a kept tensor that changed is caught, with the byte") {
  Output output(body("W4A16"));
  output.tensor("model.norm.weight").bytes[100] ^= std::byte{1};
  output.write();
  check_caught(output, {"kept-bytes"}, "model.norm.weight: byte 100 is 0x");
  CHECK(text_of(output.report(false)) == "");
}

TEST_CASE("a kept tensor of another type is caught, a cast Linear is compared after rounding") {
  Output output(body(""));
  Tensors wide = source_tensors();
  StoredTensor& norm = wide["model.norm.weight"];
  norm = random_tensor(norm.name, norm.shape, Dtype::f32, 99);
  const std::string linear = "model.layers.0.self_attn.o_proj.weight";
  wide[linear] = random_tensor(linear, {128, 128}, Dtype::f32, 5);
  write_checkpoint(output.source, output.source_config, values(wide));
  StoredTensor& cast = output.tensor(linear);
  std::vector<float> floats(128 * 128);
  std::memcpy(floats.data(), wide[linear].bytes.data(), wide[linear].bytes.size());
  to_bf16(floats, cast.bytes);
  output.write();
  check_caught(output, {"kept-bytes"}, "model.norm.weight: is BF16 [128], the source has F32 [128]");
  cast.bytes[2 * 1000] ^= std::byte{1};
  output.write();
  check_caught(output, {"kept-bytes"}, "o_proj.weight: byte 2000 is");
}

TEST_CASE("a tensor that the output lost is caught") {
  Output output(body("W4A16"));
  Tensors more = source_tensors();
  more["model.layers.0.self_attn.rotary_emb.inv_freq"] =
      random_tensor("model.layers.0.self_attn.rotary_emb.inv_freq", {32}, Dtype::f32, 1);
  write_checkpoint(output.source, output.source_config, values(more));
  output.write();
  check_caught(output, {"coverage"}, "inv_freq: is in the source, but not in the output");
}

TEST_CASE("decoded weights far from the source's are caught") {
  Output output(body("NVFP4A16"));
  for (const char* name : {"gate_proj", "up_proj"}) {  // the reciprocal: a scale in the wrong direction
    const std::string scale = fmt::format("model.layers.0.mlp.{}.weight_global_scale", name);
    float value = 0;
    std::memcpy(&value, output.tensor(scale).bytes.data(), 4);
    output.set_float(scale, 1 / value);
  }
  output.write();
  check_caught(output, {"weight-error"}, "model.layers.0.mlp.gate_proj: decoded weights differ");
}

TEST_CASE("sidecars and config that changed are caught") {
  Output output(body("W4A16"));
  output.write();
  write_text(join_path(output.model, "tokenizer.json"), "[]");
  check_caught(output, {"sidecars"}, "tokenizer.json: differs from the source's, although both have 2 bytes");
  write_text(join_path(output.model, "tokenizer.json"), "[] ");
  check_caught(output, {"sidecars"}, "has 3 bytes, the source's has 2");
  remove_tree(join_path(output.model, "tokenizer.json"));
  check_caught(output, {"sidecars"}, "is in the source's folder");

  Output config(body("W4A16"));
  config.config.replace(config.config.find("10000.0"), 7, "20000.0");
  config.write();
  check_caught(config, {"config-kept"}, "rope_theta is 20000.0, the source has 10000.0");
}

TEST_CASE("leftovers of an unfinished run are caught") {
  const Output output(body("W4A16"));
  output.write();
  write_text(join_path(output.model, "model.safetensors.partial"), "");
  check_caught(output, {"leftovers"}, "model.safetensors.partial: is a leftover");
}

TEST_CASE("a tied head that contradicts the config is caught") {
  std::string tied = config_json;
  tied.replace(tied.find("\"tie_word_embeddings\": false"), 28, "\"tie_word_embeddings\": true ");
  const Output differs(body("W4A16"), tied);
  differs.write();
  check_caught(differs, {"tied-head"}, "its bytes differ from those of model.embed_tokens.weight");

  Output missing(body("W4A16"));
  missing.tensors.erase("lm_head.weight");
  missing.write();
  check_caught(missing, {"config"}, "tie_word_embeddings is false but lm_head.weight", false);
}

TEST_CASE("an index whose total is wrong is caught") {
  const Output output(body("W4A16"));
  output.write();
  std::string weights;
  for (const auto& [name, tensor] : output.tensors)
    weights += fmt::format("{}\"{}\": \"model.safetensors\"", weights.empty() ? "" : ", ", name);
  const std::string path = join_path(output.model, "model.safetensors.index.json");
  write_text(path, fmt::format(R"({{"metadata": {{"total_size": 17}}, "weight_map": {{{}}}}})", weights));
  check_caught(output, {"index-total"}, "metadata.total_size is 17, the tensors have");
}

TEST_CASE("a cut shard and a broken quantization_config are failures of the output") {
  const Output cut(body("W4A16"));
  cut.write();
  const std::string shard = join_path(cut.model, "model.safetensors");
  const std::string text = read_text(shard);
  write_text(shard, std::string_view(text).substr(0, text.size() - 1));
  check_caught(cut, {"container"}, "model.safetensors: tensor");

  Output config(body("W4A16"));
  config.config.replace(config.config.find("compressed-tensors"), 18, "something-elsewise");
  config.write();
  check_caught(config, {"quantization-config"}, "something-elsewise");
}

TEST_CASE("what is no checkpoint at all is an input error") {
  const TemporaryFolder folder;
  CHECK(thrown_by([&] { verify({.model = folder.file("absent"), .source = ""}); }).fault == Fault::input);
  CHECK(thrown_by([&] { verify({.model = folder.path(), .source = ""}); }).fault == Fault::input);
  const Output output(body("W4A16"));
  output.write();
  CHECK(thrown_by([&] { verify({.model = output.model, .source = folder.file("absent")}); }).fault == Fault::input);
}
