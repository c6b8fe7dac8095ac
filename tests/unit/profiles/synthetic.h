// Checkpoints made up for profile tests: tensors of the right shapes with zero bytes, and their config.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/checkpoint/checkpoint.h"
#include "profiles/claims.h"
#include "profiles/profile.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

namespace strata::test {

using Tensors = std::vector<StoredTensor>;

inline StoredTensor zeros(std::string name, Shape shape, Dtype dtype = Dtype::bf16) {
  StoredTensor tensor{.name = std::move(name), .dtype = dtype, .shape = std::move(shape), .bytes = {}};
  tensor.bytes.resize(tensor_bytes(dtype, tensor.shape).value());
  return tensor;
}

inline void add_mlp(Tensors& tensors, const std::string& prefix, std::int64_t width) {
  tensors.push_back(zeros(prefix + ".gate_proj.weight", {width, 8}));
  tensors.push_back(zeros(prefix + ".up_proj.weight", {width, 8}));
  tensors.push_back(zeros(prefix + ".down_proj.weight", {8, width}));
}

// Attention and norms of a small decoder: hidden 8, 2 heads of 4, 1 key head, vocabulary 16, two layers.
inline Tensors without_mlp() {
  Tensors tensors = {zeros("model.embed_tokens.weight", {16, 8}), zeros("lm_head.weight", {16, 8}),
                     zeros("model.norm.weight", {8})};
  for (int layer = 0; layer < 2; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    tensors.push_back(zeros(prefix + "input_layernorm.weight", {8}));
    tensors.push_back(zeros(prefix + "post_attention_layernorm.weight", {8}));
    tensors.push_back(zeros(prefix + "self_attn.q_proj.weight", {8, 8}));
    tensors.push_back(zeros(prefix + "self_attn.k_proj.weight", {4, 8}));
    tensors.push_back(zeros(prefix + "self_attn.v_proj.weight", {4, 8}));
    tensors.push_back(zeros(prefix + "self_attn.o_proj.weight", {8, 8}));
  }
  return tensors;
}

inline Tensors llama_tensors() {
  Tensors tensors = without_mlp();
  for (int layer = 0; layer < 2; ++layer) add_mlp(tensors, fmt::format("model.layers.{}.mlp", layer), 12);
  return tensors;
}

inline void add_head_norms(Tensors& tensors) {
  for (int layer = 0; layer < 2; ++layer)
    for (const char* name : {"q_norm", "k_norm"})
      tensors.push_back(zeros(fmt::format("model.layers.{}.self_attn.{}.weight", layer, name), {4}));
}

inline Tensors qwen3_tensors() {
  Tensors tensors = llama_tensors();
  add_head_norms(tensors);
  return tensors;
}

// Layer 0 is dense, layer 1 has two experts of width 6.
inline Tensors qwen3_moe_tensors() {
  Tensors tensors = without_mlp();
  add_head_norms(tensors);
  add_mlp(tensors, "model.layers.0.mlp", 12);
  tensors.push_back(zeros("model.layers.1.mlp.gate.weight", {2, 8}));
  for (int expert = 0; expert < 2; ++expert) add_mlp(tensors, fmt::format("model.layers.1.mlp.experts.{}", expert), 6);
  return tensors;
}

// A config for these tensors. `members` is put first, so that it may not repeat a key of ours but can add any.
inline std::string config_json(std::string_view architecture, std::string_view members = "") {
  return fmt::format(R"({{"architectures": ["{}"], {}{}
    "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 16, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5}})",
                     architecture, members, members.empty() ? "" : ",");
}

inline constexpr std::string_view moe_members =
    R"("num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 6, "mlp_only_layers": [0])";

inline void remove(Tensors& tensors, std::string_view name) {
  std::erase_if(tensors, [&](const StoredTensor& tensor) { return tensor.name == name; });
}

inline const Profile& profile_named(std::string_view name) {
  for (const Profile* profile : profiles())
    if (profile->name == name) return *profile;
  fail(Fault::bug, "no profile {}", name);
}

inline ModelSpec describe(const std::string& json, const Tensors& tensors) {
  const Config config = Config::parse(json, "config.json");
  static const TensorInfo present;
  const TensorLookup lookup = [&](std::string_view name) -> const TensorInfo* {
    const bool stored = std::any_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
    return stored ? &present : nullptr;
  };
  return require_profile(config).describe(config, lookup);
}

inline const NumberFormat* all_dense(std::string_view) { return nullptr; }

// The message of the Error{input} that the claim audit of such a checkpoint throws; empty when it is content.
inline std::string audit(const std::string& json, const Tensors& tensors, const StoredFormat& stored = all_dense) {
  const TemporaryFolder folder;
  write_checkpoint(folder.path(), json, tensors);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const TensorLookup lookup = [&](std::string_view name) { return checkpoint.find(name); };
  try {
    audit_claims(require_profile(checkpoint.config()).describe(checkpoint.config(), lookup), checkpoint, stored);
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    return error.what();
  }
  return "";
}

}  // namespace strata::test
