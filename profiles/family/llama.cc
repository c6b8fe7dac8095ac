// Llama 1 to 3.3 and the models that share its class. The reference block: the other families say what
// they do differently.
#include "profiles/blocks.h"

namespace strata::family {

namespace {

constexpr std::string_view architectures[] = {"LlamaForCausalLM"};
constexpr std::string_view model_types[] = {"llama"};

ModelSpec describe(const Config& config, const TensorLookup& tensors) {
  const Config text = text_config(config);
  const DecoderConfig decoder = parse_decoder(text);
  require_layer_types(text, decoder.layers, "full_attention");
  const bool attention_bias = text.boolean_or("attention_bias", false);
  const bool mlp_bias = text.boolean_or("mlp_bias", false);

  ModelSpec model = make_model("llama", config, decoder, tensors);
  for (int i = 0; i < decoder.layers; ++i) {
    LayerSpec layer = make_layer(i, decoder, tensors);
    add_mixer(layer, decoder, make_attention(layer.prefix, decoder, attention_bias));
    add_ffn(layer, decoder, make_mlp(layer.prefix + ".mlp", decoder, mlp_bias));
    model.layers.push_back(std::move(layer));
  }
  return model;
}

}  // namespace

extern const Profile llama;
const Profile llama = {.name = "llama",
                       .summary = "Llama: full attention, optional biases, plain, linear or llama3 rope",
                       .architectures = architectures,
                       .model_types = model_types,
                       .describe = describe};

}  // namespace strata::family
