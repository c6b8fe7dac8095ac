// Random assignments over the modules of every family: the config gives each module the scheme that it was encoded
// in, by transformers' rule and both orders of vLLM's, with and without a wrapper for vision.
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <random>

#include "formats/config/quantization_config.h"
#include "profiles/layer_questions.h"
#include "profiles/profile.h"
#include "tests/support/format_group.h"
#include "tests/support/loader_matchers.h"

using namespace strata;
using test::LoaderMatchers;
using test::VllmOrder;

namespace {

// Twelve layers, so that layer 1 is a part of layer 11; a mixture has a dense layer 0 and eleven experts.
ModelSpec model_of(const std::string& architecture) {
  const std::string json = R"({"architectures": [")" + architecture + R"("], "hidden_size": 8, "intermediate_size": 12,
    "num_hidden_layers": 12, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 16,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "num_experts": 11, "num_experts_per_tok": 2,
    "moe_intermediate_size": 6, "mlp_only_layers": [0]})";
  const Config config = Config::parse(json, "config.json");
  static const TensorInfo present;
  const auto one_by_one = [](std::string_view name) {  // no experts in one tensor
    const bool packed = name.find("experts.gate_up_proj") != name.npos || name.find("experts.down_proj") != name.npos;
    return packed ? nullptr : &present;
  };
  return require_profile(config).describe(config, one_by_one);
}

std::string last_component(const std::string& module) { return module.substr(module.rfind('.') + 1); }

struct Encoded {
  std::vector<LinearFormat> linears;
  std::map<std::string, const NumberFormat*> formats;
  std::map<std::string, std::vector<std::string>> served;  // merged module -> its parts; not for experts
  std::vector<std::string> blocks;                         // "model.layers.1.mlp.experts"
};

class Mix {
 public:
  Mix(const ModelSpec& model, unsigned seed) : random_(seed) {
    for (const LayerSpec& layer : model.layers) add_layer(layer);
    add(model.head, any());
  }
  const Encoded& encoded() const { return encoded_; }

 private:
  const NumberFormat* any() { return number_formats()[random_() % number_formats().size()]; }

  void add(const LinearSpec& linear, const NumberFormat* format) {
    encoded_.formats[linear.module] = format;
    encoded_.linears.push_back(
        {linear.module, format, {}, linear.fused_module.empty() ? "" : last_component(linear.fused_module)});
  }

  void add_layer(const LayerSpec& layer) {
    const NumberFormat* const experts = any();
    std::map<std::string, const NumberFormat*> of_fused;
    std::map<std::string, std::vector<std::string>> parts;
    const std::size_t first = encoded_.linears.size();
    for (const LinearSpec* const linear : linears(layer)) {
      const bool expert = linear->module.find(".experts.") != std::string::npos;
      const NumberFormat* format = expert ? experts : any();
      if (!expert && !linear->fused_module.empty())
        format = of_fused.try_emplace(linear->fused_module, format).first->second;
      add(*linear, format);
      if (linear->fused_module.empty()) continue;
      parts[linear->fused_module].push_back(linear->module);
      if (!expert) encoded_.served[linear->fused_module].push_back(linear->module);
    }
    for (auto linear = encoded_.linears.begin() + static_cast<std::ptrdiff_t>(first); linear != encoded_.linears.end();
         ++linear)
      if (!linear->fused_name.empty()) {
        const std::string parent = linear->module.substr(0, linear->module.rfind('.') + 1);
        for (const std::string& part : parts.at(parent + linear->fused_name))
          linear->fused_with.push_back(last_component(part));
      }
    if (experts_of(layer) != nullptr) encoded_.blocks.push_back(layer.prefix + ".mlp.experts");
  }

  std::mt19937 random_;
  Encoded encoded_;
};

std::string under(const std::string& prefix, const std::string& module) {
  return module.starts_with("model.") ? prefix + module.substr(6) : module;
}

nlohmann::json scheme_of(const NumberFormat* format) { return test::group_of(*format); }

void check_modules(LoaderMatchers& matchers, const Encoded& encoded, const std::string& prefix) {
  for (const auto& [module, format] : encoded.formats) {
    const std::string name = under(prefix, module);
    INFO(name << " is " << format->name);
    CHECK(matchers.hits(name) == 1);
    CHECK(matchers.scheme(matchers.by_transformers(name)) == scheme_of(format));
  }
  for (const VllmOrder order : {VllmOrder::name_fused_class, VllmOrder::name_class_fused}) {
    for (const auto& [merged, parts] : encoded.served) {
      test::VllmModule module{.name = under(prefix, merged), .class_name = "MergedColumnParallelLinear"};
      for (const std::string& part : parts) module.shards.push_back(under(prefix, part));
      INFO(module.name);
      CHECK(matchers.hits(module.name) == 1);  // by its own name too, as older versions look
      CHECK(matchers.scheme(matchers.by_vllm(module, order)) == scheme_of(encoded.formats.at(parts.front())));
    }
    for (const std::string& block : encoded.blocks)
      CHECK(matchers.scheme(matchers.by_vllm_experts(under(prefix, block), order)) ==
            scheme_of(encoded.formats.at(block + ".0.up_proj")));
    CHECK(matchers.scheme(matchers.by_vllm({.name = "language_model.lm_head", .class_name = "ParallelLMHead"},
                                           order)) == scheme_of(encoded.formats.at("lm_head")));
  }
}

}  // namespace

TEST_CASE("random assignments over every family give each module its own scheme in every loader") {
  for (const Profile* const profile : profiles()) {
    const ModelSpec model = model_of(std::string(profile->architectures.front()));
    for (unsigned seed = 0; seed < 8; ++seed) {
      INFO(profile->name << ", seed " << seed);
      const Mix mix(model, seed);
      LoaderMatchers matchers(quantized_config_json("{}", mix.encoded().linears));
      REQUIRE_FALSE(matchers.group_names().empty());
      for (const char* const prefix :
           {"model.", "", "language_model.", "model.language_model.", "language_model.model."})
        check_modules(matchers, mix.encoded(), prefix);
    }
  }
}
