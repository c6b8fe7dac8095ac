// Qwen3-MoE: Qwen3 attention, and in most layers a softmax router over experts without a shared one.
#include "base/error.h"
#include "profiles/blocks.h"

namespace strata::family {

namespace {

constexpr std::string_view architectures[] = {"Qwen3MoeForCausalLM"};
constexpr std::string_view model_types[] = {"qwen3_moe"};

// Keys that Qwen3-Coder's config carries and that transformers ignores: right only at these values.
void require_plain(const Config& text) {
  require_false(text, "use_sliding_window");
  require_false(text, "qkv_bias");
  if (!text.boolean_or("use_qk_norm", true)) refuse(text, "use_qk_norm", "true is");
  if (text.integer_or("shared_expert_intermediate_size", 0) != 0)
    refuse(text, "shared_expert_intermediate_size", "0 (no shared expert) is");
}

void require_separate_experts(const std::string& prefix, const TensorLookup& tensors) {
  const std::string packed = prefix + ".experts.gate_up_proj";
  if (tensors(packed))
    fail(Fault::input,
         "tensor {}: packed experts are not supported, one tensor an expert and projection is; split them "
         "(docs/checkpoints.md has the lines)",
         packed);
}

// Checked here already, so that a config that claims 65536 experts in every layer ends before they are listed.
// Where one tensor of the last expert is there, the claim audit names what is missing.
void require_last_expert(const std::string& prefix, int experts, const TensorLookup& tensors) {
  const std::string last = fmt::format("{}.experts.{}", prefix, experts - 1);
  for (const char* const leaf : {".gate_proj.weight", ".up_proj.weight", ".down_proj.weight"})
    if (tensors(last + leaf) || tensors(last + leaf + "_packed")) return;
  fail(Fault::input,
       "tensor {}.down_proj.weight is not in the checkpoint, but config.json says that there are {} experts", last,
       experts);
}

ModelSpec describe(const Config& config, const TensorLookup& tensors) {
  const Config text = text_config(config);
  const DecoderConfig decoder = parse_decoder(text);
  const MoeConfig moe = parse_moe(text, decoder.layers);
  require_layer_types(text, decoder.layers, "full_attention");
  require_plain(text);
  const bool bias = text.boolean_or("attention_bias", false);

  ModelSpec model = make_model("qwen3_moe", config, decoder, tensors);
  for (int i = 0; i < decoder.layers; ++i) {
    LayerSpec layer = make_layer(i, decoder, tensors);
    AttentionSpec attention = make_attention(layer.prefix, decoder, bias);
    add_head_norms(attention, layer.prefix, decoder);
    add_mixer(layer, decoder, std::move(attention));
    const std::string mlp = layer.prefix + ".mlp";
    if (moe.sparse[static_cast<std::size_t>(i)]) {
      require_separate_experts(mlp, tensors);
      require_last_expert(mlp, moe.experts, tensors);
      add_ffn(layer, decoder, make_moe(mlp, decoder, moe));
    } else {
      add_ffn(layer, decoder, make_mlp(mlp, decoder, false));
    }
    model.layers.push_back(std::move(layer));
  }
  return model;
}

}  // namespace

extern const Profile qwen3_moe;
const Profile qwen3_moe = {.name = "qwen3_moe",
                           .summary = "Qwen3-MoE: Qwen3 with routed experts, dense layers where the config says so",
                           .architectures = architectures,
                           .model_types = model_types,
                           .describe = describe};

}  // namespace strata::family
