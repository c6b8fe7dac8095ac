// Outputs that are right pass; each way of breaking one is caught by the rule that is there for it.
#include "engine/check/verify.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>

#include "formats/config/config_group.h"
#include "formats/config/scheme.h"
#include "tests/support/thrown.h"
#include "tests/unit/engine/check/verify_output.h"

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
  const VerifyReport report = report_of(output, with_source);
  const std::string text = text_of(report);
  CAPTURE(text);
  std::set<std::string> failed;
  for (const VerifyFinding& finding : report.failures) failed.insert(finding.rule);
  CHECK(failed == rules);
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(part));
}

}  // namespace

TEST_CASE("a right output of every number format passes every rule") {
  for (const NumberFormat* format : number_formats()) {
    if (!format->quantizes() || format->source_only) continue;
    for (const std::string& config : {wide_config(), std::string(dense_config)}) {
      CAPTURE(format->name, config);
      if (format->refusal({64, 128}) && config == dense_config) continue;  // blocks
      const Output output(body(std::string(format->name)), config);
      output.write();
      const VerifyReport report = report_of(output, true, true);
      CHECK(text_of(report) == "");
      CHECK(report.notes.empty() == format->serving.any());  // that it is for research
      CHECK(fact(report, "family") == (config == dense_config ? "qwen3" : "qwen3_moe"));
      CHECK(fact(report, "not checked") == "(none)");
      CHECK(report.quality.size() == (config == dense_config ? 21u : 27u));
      for (const LinearQuality& linear : report.quality) CHECK(linear.sqnr >= linear.floor);
      CHECK(text_of(report_of(output, false)) == "");
    }
  }
  const Output dense(body(""));
  dense.write();
  CHECK(text_of(report_of(dense)) == "");
  CHECK(fact(report_of(dense, false), "not checked") ==
        "coverage, kept-bytes, copied-codes, config-kept, sidecars, weight-error: they need --source");
}

TEST_CASE("a deep look measures every Linear against a second way to compute it") {
  const Output output(body("W4A16"));
  output.write();
  const VerifyReport report = report_of(output, true, true);
  REQUIRE(report.quality.size() == 27);
  CHECK(std::ranges::is_sorted(report.quality, {}, &LinearQuality::sqnr));
  const Checkpoint stored = Checkpoint::open(output.model);
  const auto values = [&](const Checkpoint& from, const std::string& name) {
    const TensorInfo& tensor = from.at(name);
    std::vector<std::byte> bytes(tensor.bytes);
    from.read(tensor, bytes);
    std::vector<float> floats(element_count(tensor.shape).value());
    if (tensor.dtype == Dtype::bf16) {
      widen(tensor.dtype, bytes, floats);
      return floats;
    }
    floats.resize(bytes.size() * 2);  // 4-bit codes
    for (std::size_t i = 0; i < floats.size(); ++i)
      floats[i] = static_cast<float>((std::to_integer<int>(bytes[i / 2]) >> (i % 2 * 4) & 15) - 8);
    return floats;
  };
  for (const LinearQuality& linear : report.quality) {
    const auto weight = values(Checkpoint::open(output.source), linear.module + ".weight");
    const auto codes = values(stored, linear.module + ".weight_packed");
    const auto scales = values(stored, linear.module + ".weight_scale");
    double error = 0, all = 0;
    for (std::size_t i = 0; i < weight.size(); ++i) {
      error += std::pow(static_cast<double>(weight[i] - codes[i] * scales[i / 128]), 2);
      all += std::pow(static_cast<double>(weight[i]), 2);
    }
    CHECK(std::abs(linear.sqnr - 10 * std::log10(all / error)) < 1e-6);
  }
}

TEST_CASE("a Linear below its floor is flagged, not failed") {
  Output output(body("W4A16"));
  const std::string name = "model.layers.0.self_attn.o_proj.weight_packed";
  for (std::size_t i = 0; i < 600; ++i) output.tensor(name).bytes[i * 13] ^= std::byte{0x07};
  output.write();
  const VerifyReport report = report_of(output, true, true);
  CHECK(text_of(report) == "");
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].subject == "model.layers.0.self_attn.o_proj");
  CHECK(report.quality.front().module == "model.layers.0.self_attn.o_proj");
  CHECK(report.quality.front().sqnr < 15);
}

TEST_CASE("a Linear that lost most of itself beside an outlier is a note, for what is left is its own") {
  Output output(body("FP8"), dense_config);
  const std::string layer = "model.layers.0.self_attn.";
  std::vector<std::byte>& bytes = output.dense[layer + "k_proj.weight"].bytes;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {  // times 2^-18: below the codes that q_proj leaves it
    std::uint16_t bits = 0;
    std::memcpy(&bits, &bytes[i], 2);
    bits = (bits & 0x7fff) > (19 << 7) ? static_cast<std::uint16_t>(bits - (18 << 7)) : std::uint16_t{0};
    std::memcpy(&bytes[i], &bits, 2);
  }
  write_checkpoint(output.source, output.source_config, values(output.dense));
  for (const char* projection : {"q_proj", "k_proj", "v_proj"}) output.encode_again(layer + projection, "FP8");
  output.write();
  for (const bool deep : {false, true}) {
    const VerifyReport report = report_of(output, true, deep);
    CHECK(text_of(report) == "");
    CHECK(std::ranges::any_of(report.notes, [&](const VerifyFinding& note) {
      return note.rule == "weight-error" && note.subject == layer + "k_proj";
    }));
  }
}

TEST_CASE("a Linear that was damaged in part has not lost that to an outlier") {
  struct Damage {
    const char *what, *format, *field;
    double first, end;  // of its bytes
    const char* from;   // another projection of the same shape; empty: zeros
  };
  const auto damage = GENERATE(Damage{"a hole in FP4 codes", "NVFP4A16", "weight_packed", 0.4, 1, ""},
                               Damage{"a hole in FP8 codes", "FP8_DYNAMIC", "weight", 0.4, 1, ""},
                               Damage{"a hole in words", "W4A16", "weight_packed", 0.4, 1, ""},
                               Damage{"rows of another Linear", "FP8_DYNAMIC", "weight", 0, 0.35, "up_proj"});
  CAPTURE(damage.what);
  Output output(body(damage.format), dense_config);
  const std::string mlp = "model.layers.0.mlp.", name = mlp + "gate_proj." + damage.field;
  std::vector<std::byte>& bytes = output.tensor(name).bytes;
  const auto at = [&](double share) { return static_cast<std::ptrdiff_t>(share * static_cast<double>(bytes.size())); };
  std::vector<std::byte> other(bytes.size());
  if (*damage.from != '\0') other = output.tensor(mlp + damage.from + "." + damage.field).bytes;
  std::copy(other.begin() + at(damage.first), other.begin() + at(damage.end), bytes.begin() + at(damage.first));
  output.write();
  const VerifyReport report = report_of(output, true, true);
  CHECK(std::ranges::any_of(report.failures, [&](const VerifyFinding& failure) {
    return failure.rule == "weight-error" && failure.subject == mlp + "gate_proj";
  }));
}

TEST_CASE("the facts say which loaders take an output") {
  const auto loaders = [](const Formats& formats) {
    const Output output(formats);
    output.write();
    const VerifyReport report = report_of(output);
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
  CHECK(loaders([](const std::string& module) { return module == "lm_head" ? "NVFP4A16" : ""; }).first == "yes");
  CHECK(loaders(body("W4A16_ASYM")).first == "yes");
  CHECK_THAT(loaders(body("MXFP4XFP8")).first,
             StartsWith("yes, but 0.28 to 0.31 take it for MXFP4 (MXFP4XFP8 in model.layers."));
}

TEST_CASE("without architectures vLLM takes another class, and transformers goes by model_type") {
  for (const char* const none : {"", "\"architectures\": [], ", "\"architectures\": null, "}) {
    std::string config = dense_config;
    const std::string named = "\"architectures\": [\"Qwen3ForCausalLM\"], ";
    config.replace(config.find(named), named.size(), none);
    const Output output(body("W4A16"), config);
    output.write();
    const VerifyReport report = report_of(output);
    CHECK(text_of(report) == "");
    CHECK(
        fact(report, "vLLM") ==
        "no: config.json has no architectures, and vLLM takes the model for one of embeddings, which does not generate "
        "text (0.32); add \"architectures\": [\"Qwen3ForCausalLM\"]");
    CHECK(fact(report, "transformers") == "yes");
  }
}

TEST_CASE("a head is judged as the plan judges it") {
  std::size_t served = 0;
  for (const NumberFormat* format : number_formats()) {
    if (!format->quantizes() || format->source_only || !format->serving.any()) continue;
    if (format->refusal({16, 128})) continue;
    CAPTURE(format->name);
    const Output output(
        [&](const std::string& module) { return module == "lm_head" ? std::string(format->name) : ""; });
    output.write();
    const VerifyReport report = report_of(output);
    CHECK(text_of(report) == "");
    const bool taken = !format->serving.vllm.empty() && format->name != "FP8_BLOCK";
    CHECK(fact(report, "vLLM").starts_with("yes") == taken);
    served += taken ? 1 : 0;
  }
  CHECK(served >= 15);
  const Output blocks([](const std::string& module) { return module == "lm_head" ? "FP8_BLOCK" : ""; },
                      wide_head_config());
  blocks.write();
  CHECK(fact(report_of(blocks), "vLLM") ==
        "no: lm_head is FP8_BLOCK; it does not load a head in that format (0.28 to 0.32)");
}

TEST_CASE("rows of codes that do not fill their last word are found where they start") {
  std::string config = dense_config;
  const auto set = [&](const std::string& from, const std::string& to) {
    config.replace(config.find(from), from.size(), to);
  };
  set("\"hidden_size\": 128, \"intermediate_size\": 128", "\"hidden_size\": 126, \"intermediate_size\": 126");
  set("\"num_attention_heads\": 2", "\"num_attention_heads\": 1");
  set("\"head_dim\": 64", "\"head_dim\": 126");
  Output output(body("W8A16_CHANNEL"), config);
  const std::string up = "model.layers.0.mlp.up_proj.";
  StoredTensor& codes = output.tensor(up + "weight_packed");
  REQUIRE(codes.shape == Shape{126, 32});
  std::fill_n(codes.bytes.begin() + 100 * 128, 126, std::byte{0x80});  // codes of row 100: all zero
  std::fill_n(output.tensor(up + "weight_scale").bytes.begin() + 200, 2, std::byte{0});
  output.write();
  CHECK(text_of(report_of(output, false)) == "");
  codes.bytes[100 * 128 + 125] = std::byte{0x81};  // the last one
  output.write();
  check_caught(output, {"scale-range"}, "element 100 of 126 is 0, but the codes under it are not", false);
}

TEST_CASE("no floor asks for more than a format that is read alike reaches") {
  for (const NumberFormat* format : number_formats()) {
    if (!format->source_only) continue;
    CAPTURE(format->name);
    const Json group = config_group(format->scheme);
    const NumberFormat* const read = number_format_of(parse_scheme(Config::parse(group.dump(), "group")));
    REQUIRE(read != nullptr);
    CHECK(format->floor.db == (read == format ? 100 : read->floor.db));
  }
}

TEST_CASE("scales that are odd but right are fine") {
  Output zero(body("W4A16"));
  std::ranges::fill(zero.tensor("model.layers.0.mlp.up_proj.weight_packed").bytes, std::byte{0x88});
  std::ranges::fill(zero.tensor("model.layers.0.mlp.up_proj.weight_scale").bytes, std::byte{0});
  zero.write();
  CHECK(text_of(report_of(zero, false)) == "");

  Output block(body("FP8_BLOCK"), wide_config());  // a block of zeros: rows and columns from 128 on
  StoredTensor& weight = block.tensor("model.layers.0.self_attn.o_proj.weight");
  for (std::size_t row = 128; row < 256; ++row)
    std::fill_n(weight.bytes.begin() + static_cast<std::ptrdiff_t>(row * 256 + 128), 128, std::byte{0x80});
  StoredTensor& grid = block.tensor("model.layers.0.self_attn.o_proj.weight_scale");
  std::fill(grid.bytes.end() - static_cast<std::ptrdiff_t>(grid.bytes.size() / 4), grid.bytes.end(), std::byte{0});
  block.write();
  CHECK(text_of(report_of(block, false)) == "");

  Output negative(body("W4A16"));  // the full range, used with the sign turned
  StoredTensor& scales = negative.tensor("model.layers.0.mlp.up_proj.weight_scale");
  scales.bytes[7] ^= std::byte{0x80};
  negative.write();
  CHECK(text_of(report_of(negative, false)) == "");

  for (const char* format : {"MXFP4", "MXFP6A16", "MXFP8"}) {  // what compressed-tensors writes for zeros
    CAPTURE(format);
    Output zeros(body(format));
    const std::string name = "model.layers.0.self_attn.o_proj.";
    StoredTensor& codes = zeros.tensor(name + (std::string_view(format) == "MXFP8" ? "weight" : "weight_packed"));
    const std::size_t group = codes.bytes.size() / 512;  // bytes of 32 codes
    std::fill_n(codes.bytes.begin() + static_cast<std::ptrdiff_t>(3 * group), group, std::byte{0});
    codes.bytes[3 * group] =
        std::byte{std::string_view(format) == "MXFP6A16" ? std::uint8_t{0x20} : std::uint8_t{0x80}};
    zeros.tensor(name + "weight_scale").bytes[3] = std::byte{0};
    zeros.write();
    CHECK(text_of(report_of(zeros, false)) == "");
  }
}

TEST_CASE("a kept tensor that changed is caught, with the byte") {
  Output output(body("W4A16"));
  output.tensor("model.norm.weight").bytes[100] ^= std::byte{1};
  output.write();
  check_caught(output, {"kept-bytes"}, "model.norm.weight: byte 100 is 0x");
  CHECK(text_of(report_of(output, false)) == "");
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

TEST_CASE("a tied head that contradicts the config is caught") {
  const Output differs(body("W4A16"), tied(config_json));
  differs.write();
  check_caught(differs, {"tied-head"}, "lm_head BF16 [16, 128] is not model.embed_tokens.weight BF16 [16, 128]");

  Output missing(body("W4A16"));
  missing.tensors.erase("lm_head.weight");
  missing.write();
  check_caught(missing, {"config"}, "tie_word_embeddings is false but lm_head.weight", false);
}

TEST_CASE("what is no checkpoint at all is an input error") {
  const TemporaryFolder folder;
  CHECK(thrown_by([&] { verify({.model = folder.file("absent"), .source = ""}); }).fault == Fault::input);
  CHECK(thrown_by([&] { verify({.model = folder.path(), .source = ""}); }).fault == Fault::input);
  const Output output(body("W4A16"));
  output.write();
  CHECK(thrown_by([&] { verify({.model = output.model, .source = folder.file("absent")}); }).fault == Fault::input);
}
