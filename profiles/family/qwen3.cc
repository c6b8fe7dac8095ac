// Qwen3 dense: Llama with an RMSNorm on each query and key head before the rotation.
#include "profiles/blocks.h"

namespace strata::family {

namespace {

constexpr std::string_view architectures[] = {"Qwen3ForCausalLM"};
constexpr std::string_view model_types[] = {"qwen3"};

ModelSpec describe(const Config& config, const TensorLookup& tensors) {
  const Config text = text_config(config);
  const DecoderConfig decoder = parse_decoder(text, 128);
  require_layer_types(text, decoder.layers, "full_attention");
  require_false(text, "use_sliding_window");
  const bool bias = text.boolean_or("attention_bias", false);

  ModelSpec model = make_model("qwen3", config, decoder, tensors);
  for (int i = 0; i < decoder.layers; ++i) {
    LayerSpec layer = make_layer(i, decoder, tensors);
    AttentionSpec attention = make_attention(layer.prefix, decoder, bias);
    add_head_norms(attention, layer.prefix, decoder);
    add_mixer(layer, decoder, std::move(attention));
    add_ffn(layer, decoder, make_mlp(layer.prefix + ".mlp", decoder, false));
    model.layers.push_back(std::move(layer));
  }
  return model;
}

}  // namespace

extern const Profile qwen3;
const Profile qwen3 = {.name = "qwen3",
                       .summary = "Qwen3 dense: Llama with norms on query and key heads",
                       .architectures = architectures,
                       .model_types = model_types,
                       .describe = describe};

}  // namespace strata::family
