// config.json of a made-up model.
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "bench/synthetic/model.h"
#include "profiles/profile.h"

namespace strata::synthetic {
namespace {

using Json = nlohmann::ordered_json;

// What decoders have in common, small; a family's profile reads what it needs.
constexpr std::string_view common_members = R"({
  "attention_bias": false, "head_dim": 64, "hidden_act": "silu", "hidden_size": 512, "intermediate_size": 1536,
  "max_position_embeddings": 32768, "num_attention_heads": 8, "num_hidden_layers": 4, "num_key_value_heads": 4,
  "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": null, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "vocab_size": 4096})";
constexpr std::string_view expert_members = R"({
  "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 256, "norm_topk_prob": true,
  "num_experts": 16, "num_experts_per_tok": 4})";

const Profile& profile_named(const std::string& family) {
  std::vector<std::string_view> names;
  for (const Profile* const profile : profiles()) {
    if (profile->name == family) return *profile;
    names.push_back(profile->name);
  }
  fail(Fault::usage, "--family: there is no '{}'; one of {}", family, fmt::join(names, ", "));
}

// "num_experts" or the other name that configs use for it.
std::string spelled_key(const Json& text, const std::string& key) {
  return key == "num_experts" && text.contains("num_local_experts") ? "num_local_experts" : key;
}

void fit_lists(Json& text, std::int64_t layers) {
  const auto count = static_cast<std::size_t>(layers);
  if (text.contains("layer_types") && text["layer_types"].is_array() && !text["layer_types"].empty()) {
    std::vector<Json> kinds(text["layer_types"].begin(), text["layer_types"].end());
    kinds.resize(count, kinds.back());
    text["layer_types"] = kinds;
  }
  if (text.contains("mlp_only_layers") && text["mlp_only_layers"].is_array()) {
    std::vector<std::int64_t> dense = text["mlp_only_layers"].get<std::vector<std::int64_t>>();
    std::erase_if(dense, [layers](std::int64_t layer) { return layer >= layers; });
    text["mlp_only_layers"] = dense;
  }
}

}  // namespace

std::string family_config(const std::string& family) {
  const Profile& profile = profile_named(family);
  Json config = {{"architectures", {profile.architectures.front()}}, {"model_type", profile.model_types.front()}};
  config.update(Json::parse(common_members));
  if (family.ends_with("_moe")) config.update(Json::parse(expert_members));
  return config.dump(2) + "\n";
}

std::string resized_config(const std::string& json, const Sizes& sizes) {
  if (sizes.empty()) return json;
  Json config = Json::parse(json);
  Json& text = config.contains("text_config") ? config["text_config"] : config;
  for (const auto& [key, size] : sizes) text[spelled_key(text, key)] = size;
  if (text.contains("num_hidden_layers")) fit_lists(text, text["num_hidden_layers"].get<std::int64_t>());
  return config.dump(2) + "\n";
}

}  // namespace strata::synthetic
