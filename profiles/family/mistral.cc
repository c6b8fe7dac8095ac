// Mistral 7B, Nemo, Small, Devstral: Llama without biases, with an optional sliding window.
#include "base/error.h"
#include "profiles/blocks.h"

namespace strata::family {

namespace {

constexpr std::string_view architectures[] = {"MistralForCausalLM"};
constexpr std::string_view model_types[] = {"mistral"};

// null is full attention. A missing key is 4096, as transformers reads it.
std::int64_t parse_window(const Config& text) {
  constexpr std::string_view key = "sliding_window";
  if (!text.has(key)) return has_key(text, key) ? 0 : 4096;
  const std::int64_t window = text.integer(key);
  if (window < 1) fail(Fault::input, "{}: {} is {}, expected null or 1 and more", text.path(), key, window);
  return window;
}

ModelSpec describe(const Config& config, const TensorLookup& tensors) {
  const Config text = text_config(config);
  const DecoderConfig decoder = parse_decoder(text);
  const std::int64_t window = parse_window(text);
  require_layer_types(text, decoder.layers, window ? "sliding_attention" : "full_attention");
  require_false(text, "attention_bias");
  require_false(text, "mlp_bias");

  ModelSpec model = make_model("mistral", config, decoder, tensors);
  for (int i = 0; i < decoder.layers; ++i) {
    LayerSpec layer = make_layer(i, decoder, tensors);
    AttentionSpec attention = make_attention(layer.prefix, decoder, false);
    attention.window = window;
    add_mixer(layer, decoder, std::move(attention));
    add_ffn(layer, decoder, make_mlp(layer.prefix + ".mlp", decoder, false));
    model.layers.push_back(std::move(layer));
  }
  return model;
}

}  // namespace

extern const Profile mistral;
const Profile mistral = {.name = "mistral",
                         .summary = "Mistral: Llama with an optional sliding window",
                         .architectures = architectures,
                         .model_types = model_types,
                         .describe = describe};

}  // namespace strata::family
