// Outputs of other tools: what loaders read right passes, whatever Strata would have written.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/unit/engine/check/verify_output.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string text_of(const std::vector<VerifyFinding>& findings) {
  std::string text;
  for (const auto& [rule, subject, message] : findings) text += fmt::format("{}: {}: {}\n", rule, subject, message);
  return text;
}

std::string failures(const Output& output, bool with_source = true) {
  return text_of(report_of(output, with_source, true).failures);
}

std::string fact(const VerifyReport& report, const std::string& key) {
  for (const auto& [name, value] : report.facts)
    if (name == key) return value;
  return "(none)";
}

void cut(std::string& text, const std::string& part) {
  REQUIRE(text.find(part) != std::string::npos);
  text.erase(text.rfind(part), part.size());
}

// As llm-compressor leaves a model: one class as target, names in ignore.
struct LlmCompressor : Output {
  explicit LlmCompressor(const std::string& format, const std::string& base = config_json)
      : Output(body(format), base) {
    writer = "";
    config = config_of({{format, {"Linear"}}},
                       {"lm_head", "re:.*mlp.gate$", "re:visual.*", "model.layers.7.mlp.down_proj"}, base);
  }
};

// A source that stores the embedding alone, for both ends.
void tie_source(Output& output) {
  output.dense.erase("lm_head.weight");
  write_checkpoint(output.source, output.source_config, values(output.dense));
}

}  // namespace

TEST_CASE("class targets and names in ignore that match nothing pass") {
  for (const char* format : {"W4A16", "FP8_DYNAMIC", "NVFP4A16", "INT8"}) {
    CAPTURE(format);
    const LlmCompressor output(format);
    output.write();
    CHECK(failures(output) == "");
    CHECK(fact(report_of(output), "vLLM") == "yes");
  }
}

TEST_CASE("the head of a tied model is no Linear of the file, whatever the targets") {
  for (const char* format : {"W4A16", "FP8_DYNAMIC", "NVFP4A16"}) {
    CAPTURE(format);
    LlmCompressor output(format, tied(dense_config));
    output.tensors.erase("lm_head.weight");
    tie_source(output);
    output.write();
    const VerifyReport report = report_of(output, true, true);
    CHECK(text_of(report.failures) == "");
    CHECK(report.quality.size() == 21);
    CHECK(fact(report, "vLLM") == "yes");
    CHECK(fact(report, "transformers") == "yes");
    CHECK(failures(output, false) == "");

    output.config = config_of({{format, {"Linear"}}}, {}, tied(dense_config));  // transformers quantizes its own copy
    output.write();
    CHECK_THAT(failures(output), ContainsSubstring("matchers: lm_head: is tied to the embedding, but transformers"));
  }
}

TEST_CASE("a head that another tool untied is compared with the embedding it was") {
  Output output([](const std::string& module) { return module.ends_with("mlp.gate") ? "" : "W4A16"; });
  output.writer = "";
  output.source_config = tied(config_json);
  output.dense["lm_head.weight"].bytes = output.dense["model.embed_tokens.weight"].bytes;
  output.encode_again("lm_head", "W4A16");
  tie_source(output);
  output.write();
  const VerifyReport report = report_of(output, true, true);
  CHECK(text_of(report.failures) == "");
  CHECK(report.quality.size() == 28);
  CHECK_THAT(text_of(report.notes), ContainsSubstring("tie_word_embeddings is false, the source has true"));
  for (std::byte& code : output.tensor("lm_head.weight_packed").bytes) code ^= std::byte{0x77};
  output.write();
  CHECK_THAT(failures(output), ContainsSubstring("weight-error: lm_head: decoded weights differ"));

  LlmCompressor dense("W4A16", dense_config);  // kept as it was, under both names
  dense.source_config = tied(dense_config);
  dense.tensors["lm_head.weight"].bytes = dense.tensors["model.embed_tokens.weight"].bytes;
  tie_source(dense);
  dense.write();
  CHECK(failures(dense) == "");
  dense.tensors["lm_head.weight"].bytes[5] ^= std::byte{1};
  dense.write();
  CHECK_THAT(failures(dense), ContainsSubstring("kept-bytes: lm_head.weight: byte 5 is"));
}

TEST_CASE("one of two equal ends may be left out, one of two different ends may not") {
  LlmCompressor output("W4A16", tied(dense_config));
  output.tensors.erase("lm_head.weight");
  output.write();
  CHECK_THAT(failures(output), ContainsSubstring("coverage: lm_head.weight: is in the source, but not in the output"));
  output.dense["lm_head.weight"].bytes = output.dense["model.embed_tokens.weight"].bytes;
  write_checkpoint(output.source, output.source_config, values(output.dense));
  CHECK(failures(output) == "");
}

TEST_CASE("other tools' sidecars and spellings of the config are notes, another model is a failure") {
  LlmCompressor output("W4A16");
  output.config.replace(output.config.find("1e-6"), 4, "1e-06");
  output.config.insert(output.config.rfind('}'), ", \"dtype\": \"bfloat16\", \"transformers_version\": \"5.15.1\"");
  cut(output.config, ", \"attention_bias\": false");
  output.write();
  write_text(join_path(output.source, "vocab.json"), "{}");
  write_text(join_path(output.model, "tokenizer.json"), "[1]");
  const VerifyReport report = report_of(output);
  CHECK(text_of(report.failures) == "");
  const std::string notes = text_of(report.notes);
  for (const char* note : {"sidecars: vocab.json: is in the source's folder", "sidecars: tokenizer.json: has 3 bytes",
                           "config-kept: config.json: attention_bias of the source is missing",
                           "config-kept: config.json: transformers_version is not in the source"})
    CHECK_THAT(notes, ContainsSubstring(note));
  CHECK(fact(report, "vLLM") == "yes");

  for (const auto& [from, to] : {std::pair<std::string, std::string>{"10000.0", "20000.0"},
                                 {"\"num_experts_per_tok\": 1", "\"num_experts_per_tok\": 2"},
                                 {"\"norm_topk_prob\": true", "\"norm_topk_prob\": false"}}) {
    LlmCompressor other("W4A16");
    other.config.replace(other.config.find(from), from.size(), to);
    other.write();
    CHECK_THAT(failures(other), ContainsSubstring("config-kept: config.json: "));
  }
}

TEST_CASE("a sidecar of ours that differs is a failure, but no reason for a loader") {
  const Output output(body("W4A16"));
  output.write();
  write_text(join_path(output.model, "tokenizer.json"), "[1]");
  const VerifyReport report = report_of(output);
  CHECK_THAT(text_of(report.failures), ContainsSubstring("sidecars: tokenizer.json: has 3 bytes, the source's has 2"));
  CHECK(fact(report, "vLLM") == "yes");
  CHECK(fact(report, "transformers") == "yes");
}

TEST_CASE("groups of older writers without a format pass where all loaders come to the same") {
  for (const auto& [format, stored] : {std::pair<std::string, std::string>{"W4A16", "pack-quantized"},
                                       {"FP8_DYNAMIC", "float-quantized"},
                                       {"INT8", "int-quantized"},
                                       {"NVFP4A16", "nvfp4-pack-quantized"}}) {
    CAPTURE(format);
    LlmCompressor output(format);
    cut(output.config, "\"format\": \"" + stored + "\",");
    output.write();
    CHECK(failures(output) == "");
    CHECK_THAT(text_of(report_of(output).notes), ContainsSubstring("names no format; loaders come to the"));
  }
}

TEST_CASE("what only older vLLM reads otherwise is a note on outputs of other tools") {
  const auto formats = [](const std::string& module) -> std::string {
    if (!is_body(module)) return "";
    return module.find("self_attn") != std::string::npos ? "FP8_DYNAMIC" : "W4A16";
  };
  const std::vector<Group> groups = {
      {"FP8_DYNAMIC", {"re:.*[.]q_proj$", "re:.*[.]k_proj$", "re:.*[.]v_proj$", "re:.*[.]o_proj$"}},
      {"W4A16", {"Linear"}}};
  Output output(formats);
  output.config = config_of(groups, {"lm_head", "re:.*mlp.gate$"});
  output.write();
  CHECK_THAT(failures(output), ContainsSubstring("vLLM before 2026-07, as model.layers.0.self_attn.qkv_proj"));
  output.writer = "";
  output.write();
  CHECK(failures(output) == "");
  CHECK_THAT(text_of(report_of(output).notes), ContainsSubstring("vLLM before 2026-07"));
}

TEST_CASE("ModelOpt's NVFP4 is read by its own rules, and no loader is judged") {
  Output output(body("NVFP4"), dense_config);
  output.writer = "";
  Tensors renamed;
  for (auto& entry : output.tensors) {
    const std::string& name = entry.first;  // clang 14 captures no bindings
    auto& tensor = entry.second;
    const auto renaming = [&](const std::string& from, const std::string& to) {
      if (!name.ends_with(from)) return;
      tensor.name = name.substr(0, name.size() - from.size()) + to;
      if (from == ".weight_packed") return;
      float value = 0;
      std::memcpy(&value, tensor.bytes.data(), sizeof value);
      value = 1 / value;
      std::memcpy(tensor.bytes.data(), &value, sizeof value);
      tensor.shape = {};
    };
    renaming(".weight_packed", ".weight");
    renaming(".weight_global_scale", ".weight_scale_2");
    renaming(".input_global_scale", ".input_scale");
    renamed[tensor.name] = tensor;
  }
  output.tensors = renamed;
  output.config = dense_config;
  output.config.insert(1, R"("quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4",
    "ignore": ["lm_head"]}, )");
  output.write();
  const VerifyReport report = report_of(output, true, true);
  CHECK(text_of(report.failures) == "");
  CHECK(report.quality.size() == 21);
  CHECK(report.quality.front().sqnr > 15);
  CHECK_THAT(fact(report, "vLLM"), ContainsSubstring("not judged: 21 Linears"));
  CHECK(failures(output, false) == "");

  StoredTensor& scale = output.tensor("model.layers.1.mlp.up_proj.weight_scale_2");
  scale.bytes[3] ^= std::byte{0x02};  // another power of two
  output.write();
  CHECK_THAT(failures(output), ContainsSubstring("weight-error: model.layers.1.mlp.up_proj"));
  output.tensors.erase("model.layers.1.mlp.down_proj.weight_scale");
  output.write();
  CHECK_THAT(failures(output), ContainsSubstring("model.layers.1.mlp.down_proj"));
}
