#include "profiles/blocks.h"

#include <fmt/core.h>

#include <initializer_list>
#include <utility>

#include "base/error.h"

namespace strata {

namespace {

constexpr const char* mixer_norm = ".input_layernorm.weight";
constexpr const char* ffn_norm = ".post_attention_layernorm.weight";

struct Widths {
  std::int64_t hidden, intermediate;
};

LinearSpec make_linear(std::string module, std::int64_t out, std::int64_t in, bool bias) {
  LinearSpec spec;
  spec.input = module + ".input";
  spec.module = std::move(module);
  spec.out = out;
  spec.in = in;
  spec.bias = bias;
  return spec;
}

// Members of one served matrix see one input.
void fuse(std::initializer_list<LinearSpec*> members, const std::string& served_name, const std::string& input) {
  for (LinearSpec* member : members) {
    member->fused_module = served_name;
    member->input = input;
  }
}

GatedMlpSpec gated_mlp(const std::string& prefix, Widths widths, Activation activation, bool bias) {
  GatedMlpSpec mlp;
  mlp.gate = make_linear(prefix + ".gate_proj", widths.intermediate, widths.hidden, bias);
  mlp.up = make_linear(prefix + ".up_proj", widths.intermediate, widths.hidden, bias);
  mlp.down = make_linear(prefix + ".down_proj", widths.hidden, widths.intermediate, bias);
  mlp.activation = activation;
  fuse({&mlp.gate, &mlp.up}, prefix + ".gate_up_proj", prefix + ".input");
  return mlp;
}

}  // namespace

AttentionSpec make_attention(const std::string& prefix, const DecoderConfig& decoder, bool bias) {
  const std::string stem = prefix + ".self_attn";
  const std::int64_t query = std::int64_t{decoder.heads} * decoder.head_dim;
  const std::int64_t key = std::int64_t{decoder.kv_heads} * decoder.head_dim;
  AttentionSpec attention;
  attention.q = make_linear(stem + ".q_proj", query, decoder.hidden, bias);
  attention.k = make_linear(stem + ".k_proj", key, decoder.hidden, bias);
  attention.v = make_linear(stem + ".v_proj", key, decoder.hidden, bias);
  attention.o = make_linear(stem + ".o_proj", decoder.hidden, query, bias);
  fuse({&attention.q, &attention.k, &attention.v}, stem + ".qkv_proj", stem + ".input");
  attention.heads = decoder.heads;
  attention.kv_heads = decoder.kv_heads;
  attention.head_dim = decoder.head_dim;
  attention.rope = decoder.rope;
  return attention;
}

void add_head_norms(AttentionSpec& attention, const std::string& prefix, const DecoderConfig& decoder) {
  attention.q_norm = NormSpec{prefix + ".self_attn.q_norm.weight", decoder.head_dim, decoder.eps};
  attention.k_norm = NormSpec{prefix + ".self_attn.k_norm.weight", decoder.head_dim, decoder.eps};
}

GatedMlpSpec make_mlp(const std::string& prefix, const DecoderConfig& decoder, bool bias) {
  return gated_mlp(prefix, {decoder.hidden, decoder.intermediate}, decoder.activation, bias);
}

MoeSpec make_moe(const std::string& prefix, const DecoderConfig& decoder, const MoeConfig& moe) {
  MoeSpec spec;
  spec.top_k = moe.top_k;
  spec.renormalize = moe.renormalize;
  spec.router = make_linear(prefix + ".gate", moe.experts, decoder.hidden, false);
  spec.router.kind = LinearClass::keep;
  spec.experts.reserve(static_cast<std::size_t>(moe.experts));
  for (int e = 0; e < moe.experts; ++e) {
    const std::string expert = fmt::format("{}.experts.{}", prefix, e);
    spec.experts.push_back(gated_mlp(expert, {decoder.hidden, moe.intermediate}, decoder.activation, false));
    // One input scale a layer: a server may take the maximum over its experts.
    spec.experts.back().gate.input = spec.experts.back().up.input = prefix + ".experts.input";
    spec.experts.back().down.input = prefix + ".experts.down_proj.input";
  }
  return spec;
}

LayerSpec make_layer(int layer, const DecoderConfig& decoder, const TensorLookup& tensors) {
  LayerSpec spec;
  spec.prefix = fmt::format("model.layers.{}", layer);
  // Checked here already, so that a config that claims a million layers ends at the first that is not there.
  const std::string norm = spec.prefix + mixer_norm;
  if (!tensors(norm))
    fail(Fault::input, "tensor {} is not in the checkpoint, but config.json says num_hidden_layers {}", norm,
         decoder.layers);
  return spec;
}

void add_mixer(LayerSpec& layer, const DecoderConfig& decoder, Body mixer) {
  layer.blocks.push_back(
      {.before = NormSpec{layer.prefix + mixer_norm, decoder.hidden, decoder.eps}, .body = std::move(mixer)});
}

void add_ffn(LayerSpec& layer, const DecoderConfig& decoder, Body ffn) {
  layer.blocks.push_back(
      {.before = NormSpec{layer.prefix + ffn_norm, decoder.hidden, decoder.eps}, .body = std::move(ffn)});
}

ModelSpec make_model(std::string_view family, const Config& config, const DecoderConfig& decoder,
                     const TensorLookup& tensors) {
  const Ends ends = find_ends(config, tensors);
  ModelSpec model;
  model.family = family;
  model.hidden = decoder.hidden;
  model.vocabulary = decoder.vocabulary;
  model.max_position = decoder.max_position;
  model.embedding = ends.embedding;
  model.tied = ends.tied;
  model.layers.reserve(static_cast<std::size_t>(decoder.layers));
  model.final_norm = {"model.norm.weight", decoder.hidden, decoder.eps};
  model.head = make_linear(ends.head, decoder.vocabulary, decoder.hidden, false);
  model.head.kind = LinearClass::keep;
  model.head.input = "lm_head.input";
  return model;
}

}  // namespace strata
