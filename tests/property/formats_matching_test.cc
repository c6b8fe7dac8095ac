// Random assignments of formats, with per-layer mixes: every module is matched by its own group alone, by
// transformers' rule and by both orders of vLLM's, under every prefix.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <random>

#include "formats/config/quantization_config.h"
#include "tests/support/format_group.h"
#include "tests/support/loader_matchers.h"

using namespace strata;
using test::LoaderMatchers;
using test::VllmOrder;

namespace {

struct Assignment {
  std::vector<LinearFormat> linears;
  std::map<std::string, std::vector<std::string>> served;  // fused module -> its shards
  std::vector<std::string> expert_blocks;
};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  Assignment assignment() {
    Assignment made;
    const int layers = 1 + pick(14);
    const bool mixture = pick(2) == 1;
    for (int layer = 0; layer < layers; ++layer)
      add_layer(made, "model.layers." + std::to_string(layer) + ".", mixture && layer > 0);
    if (pick(3) == 0) add(made, "model.layers." + std::to_string(layers) + ".eh_proj", {}, "", any());
    if (pick(2) == 0) add(made, "lm_head", {}, "", any());
    if (pick(3) == 0) add(made, "mtp.layers.0.mlp.down_proj", {}, "", any());
    if (pick(3) == 0) add(made, "model.visual.blocks.3.attn.proj", {}, "", any());
    std::shuffle(made.linears.begin(), made.linears.end(), random_);
    return made;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  const NumberFormat* any() {
    return number_formats()[static_cast<std::size_t>(pick(static_cast<int>(number_formats().size())))];
  }

  void add(Assignment& made, const std::string& module, const std::vector<std::string>& with, const std::string& fused,
           const NumberFormat* format) {
    made.linears.push_back({module, format, with, fused});
    if (fused.empty()) return;
    const std::string parent = module.substr(0, module.rfind('.') + 1);
    std::vector<std::string>& shards = made.served[parent + fused];
    shards.clear();
    for (const std::string& shard : with) shards.push_back(parent + shard);
  }

  void add_fused(Assignment& made, const std::string& parent, const std::vector<std::string>& with,
                 const std::string& fused, const NumberFormat* format) {
    for (const std::string& name : with) add(made, parent + name, with, fused, format);
  }

  void add_layer(Assignment& made, const std::string& prefix, bool mixture) {
    add_fused(made, prefix + "self_attn.", {"q_proj", "k_proj", "v_proj"}, "qkv_proj", any());
    add(made, prefix + "self_attn.o_proj", {}, "", any());
    if (!mixture) {
      add_fused(made, prefix + "mlp.", {"gate_proj", "up_proj"}, "gate_up_proj", any());
      add(made, prefix + "mlp.down_proj", {}, "", any());
      return;
    }
    add(made, prefix + "mlp.gate", {}, "", any());
    const NumberFormat* const experts = any();
    made.expert_blocks.push_back(prefix + "mlp.experts");
    for (int expert = 0; expert < 11; ++expert) {
      const std::string parent = prefix + "mlp.experts." + std::to_string(expert) + ".";
      for (const char* const name : {"gate_proj", "up_proj", "down_proj"}) add(made, parent + name, {}, "", experts);
    }
    add_fused(made, prefix + "mlp.shared_expert.", {"gate_proj", "up_proj"}, "gate_up_proj", any());
    add(made, prefix + "mlp.shared_experts.down_proj", {}, "", any());
  }

  std::mt19937 random_;
};

std::string under(const std::string& prefix, const std::string& module) {
  return prefix + (module.starts_with("model.") ? module.substr(6) : module);
}

// What the config must say about a module: its format's group, null when it stays dense.
nlohmann::json scheme_of(const NumberFormat* format) { return test::group_of(*format); }

void check_fused(LoaderMatchers& matchers, const std::string& fused, const std::vector<std::string>& shards,
                 const nlohmann::json& wanted) {
  for (const char* const prefix : {"model.", "language_model.model."}) {
    test::VllmModule module{.name = under(prefix, fused), .class_name = "MergedColumnParallelLinear"};
    for (const std::string& shard : shards) module.shards.push_back(under(prefix, shard));
    for (const VllmOrder order : {VllmOrder::name_fused_class, VllmOrder::name_class_fused}) {
      INFO(module.name);
      CHECK(matchers.scheme(matchers.by_vllm(module, order)) == wanted);
    }
    CHECK(matchers.hits(module.name) == 1);  // by its own name too, as older versions look
  }
}

}  // namespace

TEST_CASE("random assignments resolve to themselves under transformers' and vLLM's rules") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Generator generator(seed);
    const Assignment made = generator.assignment();
    const std::string text = quantized_config_json(R"({"model_type": "qwen3_moe"})", made.linears);
    const QuantizationConfig parsed = QuantizationConfig::parse(Config::parse(text, "config.json"));
    LoaderMatchers matchers(text);
    if (matchers.group_names().empty()) continue;  // nothing is quantized: there is no config
    std::map<std::string, const NumberFormat*> wanted;
    for (const LinearFormat& linear : made.linears) {
      wanted[linear.module] = linear.format;
      const nlohmann::json expected = scheme_of(linear.format);
      for (const char* const prefix :
           {"", "model.", "language_model.", "model.language_model.", "language_model.model."}) {
        const std::string module = under(prefix, linear.module);
        INFO(module);
        CHECK(matchers.hits(module) == 1);
        CHECK(matchers.scheme(matchers.by_transformers(module)) == expected);
        for (const VllmOrder order : {VllmOrder::name_fused_class, VllmOrder::name_class_fused})
          CHECK(matchers.scheme(matchers.by_vllm({.name = module}, order)) == expected);
        const NumberFormat* const ours = parsed.format_of(module);
        CHECK((ours == nullptr ? nlohmann::json() : scheme_of(ours)) == expected);
      }
    }
    for (const auto& [fused, shards] : made.served)
      check_fused(matchers, fused, shards, scheme_of(wanted.at(shards.front())));
    for (const std::string& block : made.expert_blocks)
      for (const VllmOrder order : {VllmOrder::name_fused_class, VllmOrder::name_class_fused})
        CHECK(matchers.scheme(matchers.by_vllm_experts(under("language_model.model.", block), order)) ==
              scheme_of(wanted.at(block + ".0.gate_proj")));
  }
}

TEST_CASE("groups sort as they stand, and expressions are anchored at both ends") {
  std::vector<LinearFormat> linears;
  int layer = 0;
  for (const NumberFormat* const format : number_formats())
    linears.push_back({"model.layers." + std::to_string(layer++) + ".mlp.down_proj", format, {}, ""});
  LoaderMatchers matchers(quantized_config_json("{}", linears));
  CHECK(matchers.group_names().size() ==
        static_cast<std::size_t>(std::count_if(number_formats().begin(), number_formats().end(),
                                               [](const NumberFormat* f) { return f->quantizes(); })));
  CHECK(std::is_sorted(matchers.group_names().begin(), matchers.group_names().end()));
  for (const std::string& pattern : matchers.patterns()) CHECK((pattern.starts_with("re:^") && pattern.ends_with("$")));
  CHECK(matchers.hits("model.layers.1.mlp.down_proj") == 1);
  for (const char* const other :
       {"model.layers.1.mlp.down_proj.x", "x.model.layers.1.mlp.down_proj", "mtp.layers.1.mlp.down_proj",
        "model.layers.91.mlp.down_proj", "model.layersX1Xmlp.down_proj"})
    CHECK(matchers.hits(other) == 0);
}
