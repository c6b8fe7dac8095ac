// The input is a config.json: getters on its keys, every family's description against checkpoints that
// hold what it asks for (up to a few layers and experts), and the edits that write our own config.json.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/config/config.h"
#include "formats/config/quantization_config.h"
#include "profiles/layer_questions.h"
#include "profiles/profile.h"
#include "tests/fuzz/outcome.h"

using namespace strata;

namespace {

constexpr int stored_layers = 4, stored_experts = 8;

// The number after "<word>." in a name, -1 when there is none.
int number_after(std::string_view name, std::string_view word) {
  const std::size_t at = name.find(word);
  int value = -1;
  if (at != name.npos) std::from_chars(name.data() + at + word.size(), name.data() + name.size(), value);
  return value;
}

enum class Ends { both, embedding, head };

// A checkpoint with everything that is asked for: no real one holds more layers than tensors.
TensorLookup checkpoint(Ends ends, bool packed_experts) {
  static const TensorInfo found{.name = "x"};
  return [=](std::string_view name) -> const TensorInfo* {
    const bool missing = number_after(name, "layers.") >= stored_layers ||
                         number_after(name, "experts.") >= stored_experts ||
                         (ends == Ends::head && name.starts_with("model.embed_tokens")) ||
                         (ends == Ends::embedding && name.starts_with("lm_head")) ||
                         (!packed_experts && name.ends_with("experts.gate_up_proj"));
    return missing ? nullptr : &found;
  };
}

// An exception takes long under ASan, so not every getter reads every key.
void use_getters(const Config& config) {
  constexpr std::size_t most = 12;
  std::vector<std::string> keys = config.keys();
  for (const std::string& key : keys) (void)config.dump(key);
  if (keys.size() > most) keys.resize(most);
  for (std::size_t i = 0; i < keys.size(); ++i)
    fuzz::try_input([&] {
      const std::string& key = keys[i];
      switch (i % 7) {
        case 0:
          (void)config.integer_or(key, 0);
          break;
        case 1:
          (void)config.number_or(key, 0);
          break;
        case 2:
          (void)config.boolean_or(key, false);
          break;
        case 3:
          (void)config.text_or(key, "");
          break;
        case 4:
          (void)config.integers(key);
          break;
        case 5:
          (void)config.texts(key);
          break;
        default:
          (void)config.section(key).keys();
      }
    });
}

void check(const ModelSpec& model) {
  fuzz::expect(model.hidden > 0 && model.vocabulary > 0 && !model.layers.empty(), "a model of no size");
  fuzz::expect(model.layers.size() <= stored_layers, "layers that the checkpoint does not have");
  for (const LayerSpec& layer : model.layers) {
    fuzz::expect(!layer.blocks.empty(), "a layer without blocks");
    if (const AttentionSpec* const attention = attention_of(layer)) {
      fuzz::expect(attention->heads > 0 && attention->head_dim > 0, "attention of no size");
      fuzz::expect(attention->heads % attention->kv_heads == 0, "heads that do not divide");
    }
    if (experts_of(layer) != nullptr)
      fuzz::expect(chosen_experts(layer) > 0 && chosen_experts(layer) <= expert_count(layer),
                   "more chosen than there are");
    for (const LinearSpec* const linear : linears(layer))
      fuzz::expect(linear->out > 0 && linear->in > 0 && element_count({linear->out, linear->in}),
                   "a Linear of no size");
    for (const NormSpec* const norm : norms(layer)) fuzz::expect(norm->size > 0 && norm->eps > 0, "a norm of no size");
  }
}

// What we write must be readable, whatever it was made from.
void check_written(std::string_view source) {
  const auto format = std::ranges::find(number_formats(), "NVFP4", [](const NumberFormat* f) { return f->name; });
  const LinearFormat linear{
      .module = "model.layers.0.mlp.up_proj", .format = *format, .fused_with = {}, .fused_name = ""};
  const std::string written = quantized_config_json(source, std::span(&linear, 1), {});
  try {
    const Config config = Config::parse(written, "y");
    fuzz::expect(!QuantizationConfig::parse(config).empty(), "a quantization that was lost");
    fuzz::expect(!config.has("compression_config"), "an older quantization that was left");
  } catch (const Error& error) {
    fuzz::finding(error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz::try_input([&] {
    const Config config = Config::parse(text, "x");
    use_getters(config);
    fuzz::try_input([&] { use_getters(text_config(config)); });
    fuzz::try_input([&] { (void)require_profile(config); });
    for (const Profile* const profile : profiles()) {
      fuzz::try_input([&] { check(profile->describe(config, checkpoint(Ends::both, false))); });
      fuzz::try_input([&] { check(profile->describe(config, checkpoint(Ends::embedding, false))); });
      fuzz::try_input([&] { check(profile->describe(config, checkpoint(Ends::head, true))); });
    }
    check_written(text);
  });
  return 0;
}
