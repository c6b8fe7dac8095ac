#include "engine/plan/inspect.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <ctime>
#include <filesystem>

#include "base/file.h"
#include "engine/plan/tensor_kind.h"
#include "formats/checkpoint/safetensors.h"
#include "formats/config/config.h"
#include "profiles/profile.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string fixtures = test::in_source("../shared/fixtures");

TensorInfo tensor(std::string name, Shape shape, Dtype dtype = Dtype::bf16) {
  return {.name = std::move(name), .dtype = dtype, .shape = std::move(shape)};
}

// A checkpoint whose weights are a hole in the file: its size is right, nothing is written.
void write_hollow(const std::string& folder, const std::string& config, const std::vector<TensorInfo>& tensors) {
  write_text(join_path(folder, "config.json"), config);
  const std::string path = join_path(folder, "model.safetensors"), header = print_safetensors(tensors);
  write_text(path, header);
  std::uint64_t bytes = header.size();
  for (const TensorInfo& info : tensors) bytes += tensor_bytes(info.dtype, info.shape).value();
  std::filesystem::resize_file(path, bytes);
}

const InspectKind& kind(const InspectReport& report, std::string_view name) {
  for (const InspectKind& entry : report.kinds)
    if (entry.kind == name) return entry;
  FAIL("no kind " << name);
  return report.kinds.front();
}

// All tensors that a spec names, dense.
std::vector<TensorInfo> tensors_of(const ModelSpec& model) {
  std::vector<TensorInfo> tensors = {tensor(model.embedding, {model.vocabulary, model.hidden}),
                                     tensor(model.final_norm.weight, {model.final_norm.size})};
  if (!model.tied) tensors.push_back(tensor(model.head.module + ".weight", {model.head.out, model.head.in}));
  for (const LayerSpec& layer : model.layers) {
    for (const LinearSpec* linear : linears(layer)) {
      tensors.push_back(tensor(linear->module + ".weight", {linear->out, linear->in}));
      if (linear->bias) tensors.push_back(tensor(linear->module + ".bias", {linear->out}));
    }
    for (const NormSpec* norm : norms(layer)) tensors.push_back(tensor(norm->weight, {norm->size}));
  }
  return tensors;
}

ModelSpec describe(const Config& config) {
  static const TensorInfo present;
  const bool tied = config.boolean_or("tie_word_embeddings", false);
  return require_profile(config).describe(config, [&](std::string_view name) -> const TensorInfo* {
    return name == "lm_head.weight" && tied ? nullptr
           : name.ends_with("layernorm.weight") || name.ends_with(".down_proj.weight") ||
                   name == "model.embed_tokens.weight" || name == "lm_head.weight"
               ? &present
               : nullptr;
  });
}

TEST_CASE("tensor kinds come from names, in the spellings of many families") {
  struct Case {
    const char* name;
    const char* kind;
  };
  const Case cases[] = {
      {"model.layers.0.self_attn.q_proj.weight", "attention"},
      {"model.layers.0.linear_attn.in_proj_qkv.weight", "attention"},
      {"model.layers.0.self_attn.q_norm.weight", "norm"},
      {"model.layers.0.input_layernorm.weight", "norm"},
      {"model.norm.weight", "norm"},
      {"transformer.ln_f.weight", "norm"},
      {"model.layers.0.mlp.gate_proj.weight", "mlp"},
      {"model.layers.0.mlp.gate.weight", "router"},
      {"model.layers.0.mlp.router.weight", "router"},
      {"model.layers.0.block_sparse_moe.gate.weight", "router"},
      {"model.layers.0.mlp.gate.e_score_correction_bias", "router"},
      {"model.layers.0.mlp.experts.3.up_proj.weight", "experts"},
      {"model.layers.0.block_sparse_moe.experts.3.w1.weight", "experts"},
      {"model.layers.0.mlp.shared_expert.up_proj.weight", "experts"},
      {"model.layers.0.mlp.experts.gate_up_proj_blocks", "experts"},
      {"model.layers.0.mlp.experts.gate_up_proj_scales", "scales"},
      {"model.layers.0.self_attn.q_proj.weight_scale_inv", "scales"},
      {"model.layers.0.self_attn.q_proj.weight_packed", "attention"},
      {"model.embed_tokens.weight", "embedding"},
      {"lm_head.weight", "head"},
      {"visual.blocks.0.attn.qkv.weight", "other"},
      {"mtp.layers.0.self_attn.q_proj.weight", "other"},
  };
  for (const Case& c : cases) {
    INFO(c.name);
    CHECK(tensor_kind(c.name) == c.kind);
  }
}

TEST_CASE("a family that is not known is inspected from names and the config's plain keys") {
  const test::TemporaryFolder folder;
  write_hollow(folder.path(), R"({"architectures": ["MixtralForCausalLM"], "num_hidden_layers": 1, "hidden_size": 8,
      "vocab_size": 16, "num_local_experts": 2, "num_experts_per_tok": 1})",
               {tensor("model.embed_tokens.weight", {16, 8}), tensor("lm_head.weight", {16, 8}),
                tensor("model.layers.0.block_sparse_moe.gate.weight", {2, 8}),
                tensor("model.layers.0.block_sparse_moe.experts.0.w1.weight", {12, 8}),
                tensor("model.layers.0.block_sparse_moe.experts.1.w1.weight", {12, 8}, Dtype::f32),
                tensor("model.layers.0.self_attn.q_proj.weight", {8, 8})});
  const InspectReport report = inspect(folder.path());
  CHECK(report.family.empty());
  CHECK(report.architecture == "MixtralForCausalLM");
  CHECK(report.layers == 1);
  CHECK(report.experts == 2);
  CHECK(report.top_k == 1);
  CHECK(report.hidden == 8);
  CHECK(report.vocabulary == 16);
  CHECK(report.tensors == 6);
  CHECK(report.parameters == 128 + 128 + 16 + 96 + 96 + 64);
  CHECK(report.bytes == 2 * (128 + 128 + 16 + 96 + 64) + 4 * 96);
  CHECK(kind(report, "experts").tensors == 2);
  CHECK(kind(report, "experts").parameters == 192);
  CHECK(kind(report, "router").bytes == 32);
  CHECK(report.kinds.front().kind == "attention");
  REQUIRE(report.dtype_bytes.size() == 2);
  CHECK(report.dtype_bytes[0] == std::pair<std::string, std::uint64_t>("BF16", 864));
  CHECK(report.unknown.empty());
}

TEST_CASE("a key of an unforeseen type is a line of the report") {
  const test::TemporaryFolder folder;
  write_hollow(folder.path(), R"({"model_type": "layered", "num_hidden_layers": 2, "num_experts": [4, 8]})",
               {tensor("model.embed_tokens.weight", {16, 8})});
  const InspectReport report = inspect(folder.path());
  CHECK(report.layers == 2);
  CHECK(report.experts == 0);
  REQUIRE(report.unknown.size() == 1);
  CHECK_THAT(report.unknown[0], ContainsSubstring("num_experts is [4,8]"));
}

TEST_CASE("packed codes count as the parameters they stand for, scales as none") {
  const test::TemporaryFolder folder;
  write_hollow(folder.path(), R"({"architectures": ["SomethingElse"],
      "quantization_config": {"quant_method": "compressed-tensors"}})",
               {tensor("model.layers.0.mlp.up_proj.weight_packed", {12, 8}, Dtype::u8),
                tensor("model.layers.0.mlp.down_proj.weight_packed", {8, 3}, Dtype::i32),
                tensor("model.layers.0.mlp.up_proj.weight_scale", {12, 1}, Dtype::f8_e4m3)});
  const InspectReport report = inspect(folder.path());
  CHECK(report.quantized_as == "compressed-tensors");
  CHECK(report.parameters == 12 * 16 + 8 * 24);
  CHECK(kind(report, "scales").bytes == 12);
}

TEST_CASE("what the profile does not claim is listed and stops nothing") {
  const test::TemporaryFolder folder;
  const std::string text = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 12,
      "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16, "max_position_embeddings": 64})";
  std::vector<TensorInfo> tensors = tensors_of(describe(Config::parse(text, "config.json")));
  tensors.push_back(tensor("model.layers.0.self_attn.q_norm.weight", {4}));
  write_hollow(folder.path(), text, tensors);
  const InspectReport report = inspect(folder.path());
  CHECK(report.family == "llama");
  REQUIRE(report.unknown.size() == 1);
  CHECK_THAT(report.unknown[0], ContainsSubstring("q_norm"));
}

TEST_CASE("a config that the profile refuses is a line of the report") {
  const test::TemporaryFolder folder;
  write_hollow(folder.path(), R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 12,
      "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16, "max_position_embeddings": 64,
      "rope_scaling": {"rope_type": "yarn", "factor": 4}})",
               {tensor("model.embed_tokens.weight", {16, 8})});
  const InspectReport report = inspect(folder.path());
  REQUIRE(report.unknown.size() == 1);
  CHECK_THAT(report.unknown[0], ContainsSubstring("yarn"));
  CHECK(report.tensors == 1);
}

TEST_CASE("100,000 tensors are inspected in under two seconds") {
  const test::TemporaryFolder folder;
  const std::string text = R"({"architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 8, "intermediate_size": 12,
      "num_hidden_layers": 100, "num_attention_heads": 2, "head_dim": 4, "vocab_size": 16,
      "max_position_embeddings": 64, "num_experts": 340, "num_experts_per_tok": 8, "moe_intermediate_size": 8})";
  write_hollow(folder.path(), text, tensors_of(describe(Config::parse(text, "config.json"))));
  const std::clock_t start = std::clock();
  const InspectReport report = inspect(folder.path());
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(report.tensors > 100'000);
  CHECK(report.unknown.empty());
  CHECK(kind(report, "experts").tensors == 100 * 340 * 3);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  CHECK(seconds < 60);
#else
  CHECK(seconds < 2);
#endif
}

TEST_CASE("every published config is answered, known family or not") {
  const std::string folder = fixtures + "/configs/aiconfigurator";
  if (!exists(folder)) SKIP("needs ../shared/fixtures");
  int known = 0, unknown = 0;
  for (const DirectoryEntry& entry : list_directory(folder)) {
    if (entry.name.ends_with("hf_quant_config.json")) continue;
    const std::string text = read_text(join_path(folder, entry.name));
    if (text.find("Infinity") != std::string::npos) continue;  // not JSON: refused with the byte it stands at
    INFO(entry.name);
    const test::TemporaryFolder copy;
    write_hollow(copy.path(), text, {tensor("model.embed_tokens.weight", {2, 2})});
    const InspectReport report = inspect(copy.path());
    CHECK_FALSE(report.architecture.empty());
    CHECK(report.layers > 0);
    CHECK(report.hidden > 0);
    CHECK(report.vocabulary > 0);
    CHECK((report.experts > 0) == (report.top_k > 0));
    ++(report.family.empty() ? unknown : known);
  }
  CHECK(known >= 11);
  CHECK(unknown >= 60);
}

TEST_CASE("published models of a known family are claimed whole at their true size") {
  if (!exists(fixtures + "/configs")) SKIP("needs ../shared/fixtures");
  struct Case {
    const char* file;
    int layers, experts;
    double billions;
  };
  const Case cases[] = {{"aiconfigurator/Qwen--Qwen3-30B-A3B_config.json", 48, 128, 30.53},
                        {"aiconfigurator/Qwen--Qwen3-235B-A22B_config.json", 94, 128, 235.09},
                        {"aiconfigurator/Qwen--Qwen3-32B_config.json", 64, 0, 32.76},
                        {"aiconfigurator/Qwen--Qwen3-0.6B_config.json", 28, 0, 0.596},
                        {"devstral-small-2507/config.json", 40, 0, 23.57}};
  for (const Case& c : cases) {
    INFO(c.file);
    const test::TemporaryFolder folder;
    const std::string text = read_text(fixtures + "/configs/" + c.file);
    write_hollow(folder.path(), text, tensors_of(describe(Config::parse(text, "config.json"))));
    const InspectReport report = inspect(folder.path());
    CHECK(report.unknown.empty());
    CHECK(report.layers == c.layers);
    CHECK(report.experts == c.experts);
    CHECK(static_cast<double>(report.parameters) / 1e9 > c.billions * 0.998);
    CHECK(static_cast<double>(report.parameters) / 1e9 < c.billions * 1.002);
    CHECK(report.bytes == 2 * report.parameters);
  }
}

TEST_CASE("the tensor names of a hybrid model on the hub have kinds") {
  const std::string index = fixtures + "/configs/qwen3.5-25b-a3b-reap/model.safetensors.index.json";
  if (!exists(index)) SKIP("needs ../shared/fixtures");
  for (const std::string& name : Config::load(index).section("weight_map").keys()) {
    const bool foreign = name.starts_with("model.visual.") || name.starts_with("mtp.");
    INFO(name);
    CHECK((tensor_kind(name) == "other") == foreign);
  }
}

}  // namespace
}  // namespace strata
