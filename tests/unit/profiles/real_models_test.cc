// Against models and configs that others made; they are not part of the repository.
#include <catch2/catch_test_macros.hpp>

#include "base/file.h"
#include "profiles/claims.h"
#include "tests/support/source_folder.h"
#include "tests/unit/profiles/synthetic.h"

namespace strata {
namespace {

const std::string fixtures = test::in_source("../shared/fixtures");

// Quantizable Linears of the decoder layers, and parameters of the whole model, from a config alone.
struct Size {
  std::size_t attention = 0, mlp = 0, experts = 0;
  std::int64_t parameters = 0;
};

void count(const LayerSpec& layer, Size& size) {
  for (const LinearSpec* linear : linears(layer)) {
    size.parameters += linear->out * linear->in;
    if (linear->kind == LinearClass::keep) continue;
    if (linear->module.find(".experts.") != std::string::npos)
      ++size.experts;
    else if (linear->module.find(".self_attn.") != std::string::npos)
      ++size.attention;
    else
      ++size.mlp;
  }
  for (const NormSpec* norm : norms(layer)) size.parameters += norm->size;
}

Size measure(const std::string& file) {
  const Config config = Config::load(fixtures + "/configs/" + file);
  static const TensorInfo present;
  const TensorLookup whole = [&](std::string_view name) -> const TensorInfo* {
    const bool head = name == "lm_head.weight" && config.boolean_or("tie_word_embeddings", false);
    return head || name.ends_with("weight_packed") || name.ends_with("experts.gate_up_proj") ? nullptr : &present;
  };
  const ModelSpec model = require_profile(config).describe(config, whole);
  Size size;
  for (const LayerSpec& layer : model.layers) count(layer, size);
  size.parameters += (model.tied ? 1 : 2) * model.vocabulary * model.hidden + model.final_norm.size;
  return size;
}

TEST_CASE("the Linears and parameters of published models come out of their configs") {
  if (!exists(fixtures + "/configs")) SKIP("needs ../shared/fixtures");
  struct Case {
    const char* file;
    std::size_t attention, mlp, experts;
    double billions;  // as published, to the digits published
  };
  // Linears: layers x 4 of attention, x 3 of a dense MLP, x 3 an expert.
  const Case cases[] = {
      {"aiconfigurator/Qwen--Qwen3-0.6B_config.json", 28 * 4, 28 * 3, 0, 0.596},
      {"aiconfigurator/Qwen--Qwen3-1.7B_config.json", 28 * 4, 28 * 3, 0, 1.72},
      {"aiconfigurator/Qwen--Qwen3-8B_config.json", 36 * 4, 36 * 3, 0, 8.19},
      {"aiconfigurator/Qwen--Qwen3-32B_config.json", 64 * 4, 64 * 3, 0, 32.76},
      {"aiconfigurator/Qwen--Qwen3-30B-A3B_config.json", 48 * 4, 0, 48 * 128 * 3, 30.53},
      {"aiconfigurator/Qwen--Qwen3-235B-A22B_config.json", 94 * 4, 0, 94 * 128 * 3, 235.09},
      {"aiconfigurator/Qwen--Qwen3-Coder-480B-A35B-Instruct_config.json", 62 * 4, 0, 62 * 160 * 3, 480.15},
      {"devstral-small-2507/config.json", 40 * 4, 40 * 3, 0, 23.57},
  };
  for (const Case& c : cases) {
    INFO(c.file);
    const Size size = measure(c.file);
    CHECK(size.attention == c.attention);
    CHECK(size.mlp == c.mlp);
    CHECK(size.experts == c.experts);
    CHECK(static_cast<double>(size.parameters) / 1e9 > c.billions * 0.998);
    CHECK(static_cast<double>(size.parameters) / 1e9 < c.billions * 1.002);
  }
}

TEST_CASE("every tensor of the trained models is claimed") {
  if (!exists(fixtures + "/models")) SKIP("needs ../shared/fixtures");
  for (const char* name : {"tinystories-656k", "qwen3-dense", "qwen3-moe", "demo-moe"}) {
    INFO(name);
    const Checkpoint checkpoint = Checkpoint::open(fixtures + "/models/" + name);
    const TensorLookup lookup = [&](std::string_view tensor) { return checkpoint.find(tensor); };
    const ModelSpec model = require_profile(checkpoint.config()).describe(checkpoint.config(), lookup);
    CHECK(claim_problems(model, checkpoint, test::all_dense).empty());
  }
}

TEST_CASE("a model that stores only its head is tied under the head's name") {
  const std::string folder = fixtures + "/models/tinystories-656k";
  if (!exists(folder)) SKIP("needs ../shared/fixtures");
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const TensorLookup lookup = [&](std::string_view tensor) { return checkpoint.find(tensor); };
  const ModelSpec model = require_profile(checkpoint.config()).describe(checkpoint.config(), lookup);
  CHECK(model.tied);
  CHECK(model.embedding == "lm_head.weight");
}

TEST_CASE("the tiny models of the repository are claimed to the last tensor") {
  const std::string folder = test::in_source("tests/golden/models");
  for (const DirectoryEntry& entry : list_directory(folder)) {
    if (!entry.is_directory) continue;
    INFO(entry.name);
    const Checkpoint checkpoint = Checkpoint::open(join_path(folder, entry.name));
    const TensorLookup lookup = [&](std::string_view tensor) { return checkpoint.find(tensor); };
    const ModelSpec model = require_profile(checkpoint.config()).describe(checkpoint.config(), lookup);
    CHECK(claim_problems(model, checkpoint, test::all_dense).empty());
  }
}

}  // namespace
}  // namespace strata
