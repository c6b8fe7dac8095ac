#include "profiles/canonical.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "base/error.h"

namespace strata {

namespace {

// Sizes come from untrusted files: nothing may overflow or allocate without bound before the tensors are seen.
constexpr std::int64_t largest_size = std::int64_t{1} << 31;
constexpr std::int64_t largest_count = 1 << 16;

std::int64_t positive(const Config& text, std::string_view key, std::int64_t value, std::int64_t largest) {
  if (value < 1 || value > largest)
    fail(Fault::input, "{}: {} is {}, expected 1 to {}", text.path(), key, value, largest);
  return value;
}

std::int64_t size_of(const Config& text, std::string_view key) {
  return positive(text, key, text.integer(key), largest_size);
}

int count_of(const Config& text, std::string_view key, std::int64_t value) {
  return static_cast<int>(positive(text, key, value, largest_count));
}

double positive_number(const Config& section, std::string_view key, double value) {
  if (!std::isfinite(value) || value <= 0)
    fail(Fault::input, "{}: {} is {}, expected a positive number", section.path(), key, value);
  return value;
}

Activation parse_activation(const Config& text) {
  const std::string name = text.text_or("hidden_act", "silu");
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  refuse(text, "hidden_act", "silu and gelu_pytorch_tanh are");
}

int parse_head_dim(const Config& text, std::int64_t hidden, int heads, std::int64_t otherwise) {
  std::int64_t head_dim = otherwise;
  if (text.has("head_dim")) {
    head_dim = text.integer("head_dim");
  } else if (otherwise == 0 || has_key(text, "head_dim")) {
    if (hidden % heads != 0)
      fail(Fault::input, "{}: hidden_size {} does not divide by num_attention_heads {} and there is no head_dim",
           text.path(), hidden, heads);
    head_dim = hidden / heads;
  }
  if (head_dim % 2 != 0)
    fail(Fault::input, "{}: head_dim is {}, expected an even number (rotary halves)", text.path(), head_dim);
  return count_of(text, "head_dim", head_dim);
}

// The rope type's own name; "type" is what transformers before 4.45 wrote.
std::string rope_type(const Config& section) {
  const std::string type = section.text_or("type", "");
  std::string name = section.text_or("rope_type", type.empty() ? "default" : type);
  if (!type.empty() && type != name)
    fail(Fault::input, "{}: rope_type is {} but type is {}; remove one", section.path(), name, type);
  return name;
}

void require_known_keys(const Config& section, std::string_view type, std::initializer_list<std::string_view> own) {
  constexpr std::string_view common[] = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
  for (const std::string& key : section.keys()) {
    if (std::find(std::begin(common), std::end(common), key) != std::end(common)) continue;
    if (std::find(own.begin(), own.end(), key) != own.end()) continue;
    fail(Fault::input, "{}: key {} is not known for rope type {}", section.path(), key, type);
  }
}

void require_full_rotation(const Config& section) {
  if (section.number_or("partial_rotary_factor", 1) != 1)
    refuse(section, "partial_rotary_factor", "rotation of the whole head (1.0) is");
}

RopeSpec parse_llama3(const Config& section, const Config& text) {
  require_known_keys(section, "llama3",
                     {"factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"});
  RopeSpec rope{.kind = RopeKind::llama3};
  rope.factor = positive_number(section, "factor", section.number("factor"));
  rope.low_frequency_factor = positive_number(section, "low_freq_factor", section.number("low_freq_factor"));
  rope.high_frequency_factor = positive_number(section, "high_freq_factor", section.number("high_freq_factor"));
  // transformers: a key beside the section wins, then the section, then the model's own length.
  constexpr std::string_view original = "original_max_position_embeddings";
  const Config& holder = text.has(original) ? text : section;
  rope.original_positions = holder.has(original) ? holder.number(original) : text.number("max_position_embeddings");
  positive_number(holder, original, rope.original_positions);
  if (rope.high_frequency_factor <= rope.low_frequency_factor)
    fail(Fault::input, "{}: high_freq_factor {} is not above low_freq_factor {}", section.path(),
         rope.high_frequency_factor, rope.low_frequency_factor);
  return rope;
}

RopeSpec parse_rope_section(const Config& section, const Config& text) {
  require_full_rotation(section);
  const std::string type = rope_type(section);
  if (type == "llama3") return parse_llama3(section, text);
  if (type == "default") {
    require_known_keys(section, type, {});
    return {};
  }
  if (type == "linear") {
    require_known_keys(section, type, {"factor"});
    return {.kind = RopeKind::linear, .factor = positive_number(section, "factor", section.number("factor"))};
  }
  fail(Fault::input, "{}: rope type {} is not supported; default, linear and llama3 are", section.path(), type);
}

// The number of experts: Qwen writes num_experts, transformers 5 and others num_local_experts.
int expert_count(const Config& text) {
  const bool local = text.has("num_local_experts");
  const std::string_view key = local ? "num_local_experts" : "num_experts";
  const std::int64_t experts = text.integer(key);
  if (local && text.has("num_experts") && text.integer("num_experts") != experts)
    fail(Fault::input, "{}: num_local_experts is {} but num_experts is {}", text.path(), experts,
         text.integer("num_experts"));
  return experts == 0 ? 0 : count_of(text, key, experts);
}

}  // namespace

bool has_key(const Config& config, std::string_view key) {
  const std::vector<std::string> keys = config.keys();
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

void refuse(const Config& config, std::string_view key, std::string_view supported) {
  fail(Fault::input, "{}: {} is {}; only {} supported", config.path(), key, config.dump(key), supported);
}

void require_false(const Config& config, std::string_view key) {
  if (config.boolean_or(key, false)) refuse(config, key, "false is");
}

void require_layer_types(const Config& text, int layers, std::string_view kind) {
  if (!text.has("layer_types")) return;
  const std::vector<std::string> types = text.texts("layer_types");
  if (types.size() != static_cast<std::size_t>(layers))
    fail(Fault::input, "{}: layer_types has {} entries but num_hidden_layers is {}", text.path(), types.size(), layers);
  for (std::size_t i = 0; i < types.size(); ++i)
    if (types[i] != kind)
      fail(Fault::input, "{}: layer_types[{}] is {}; only {} is supported here", text.path(), i, types[i], kind);
}

RopeSpec parse_rope(const Config& text) {
  require_full_rotation(text);
  const bool old = text.has("rope_scaling");
  const bool both = old && text.has("rope_parameters");
  if (both && text.dump("rope_scaling") != text.dump("rope_parameters"))
    fail(Fault::input, "{}: rope_scaling and rope_parameters differ; remove one", text.path());

  double theta = text.number_or("rope_theta", 10000);
  RopeSpec rope;
  if (old || text.has("rope_parameters")) {
    const Config section = text.section(old ? "rope_scaling" : "rope_parameters");
    rope = parse_rope_section(section, text);
    theta = section.number_or("rope_theta", theta);
  }
  rope.theta = positive_number(text, "rope_theta", theta);
  return rope;
}

DecoderConfig parse_decoder(const Config& text, std::int64_t default_head_dim) {
  DecoderConfig decoder;
  decoder.hidden = size_of(text, "hidden_size");
  decoder.vocabulary = size_of(text, "vocab_size");
  decoder.max_position = size_of(text, "max_position_embeddings");
  decoder.intermediate = size_of(text, "intermediate_size");
  decoder.layers = count_of(text, "num_hidden_layers", text.integer("num_hidden_layers"));
  decoder.heads = count_of(text, "num_attention_heads", text.integer("num_attention_heads"));
  decoder.kv_heads = count_of(text, "num_key_value_heads", text.integer_or("num_key_value_heads", decoder.heads));
  if (decoder.heads % decoder.kv_heads != 0)
    fail(Fault::input, "{}: num_attention_heads {} does not divide by num_key_value_heads {}", text.path(),
         decoder.heads, decoder.kv_heads);
  decoder.head_dim = parse_head_dim(text, decoder.hidden, decoder.heads, default_head_dim);
  decoder.eps = positive_number(text, "rms_norm_eps", text.number_or("rms_norm_eps", 1e-6));
  decoder.activation = parse_activation(text);
  decoder.rope = parse_rope(text);
  return decoder;
}

bool ties_ends(const Config& config) {
  const Config& holder = config.has("tie_word_embeddings") ? config : text_config(config);
  return holder.boolean_or("tie_word_embeddings", false);
}

Ends find_ends(const Config& config, const TensorLookup& tensors) {
  const auto stored = [&](const char* module) {  // dense, or in a packed number format
    return tensors(std::string(module) + ".weight") || tensors(std::string(module) + ".weight_packed");
  };
  const bool embedding = stored("model.embed_tokens"), head = stored("lm_head");
  // Two tensors are used as they are, whatever the config says: transformers ties them only when they are equal.
  if (embedding && head) return {"model.embed_tokens.weight", "lm_head", false};
  if (!embedding && !head)
    fail(Fault::input, "{}: the checkpoint has neither model.embed_tokens.weight nor lm_head.weight", config.path());

  const Config& holder = config.has("tie_word_embeddings") ? config : text_config(config);
  if (!ties_ends(config))
    fail(Fault::input, "{}: tie_word_embeddings is {} but {} is not in the checkpoint", config.path(),
         holder.has("tie_word_embeddings") ? "false" : "not set",
         embedding ? "lm_head.weight" : "model.embed_tokens.weight");
  if (embedding) return {"model.embed_tokens.weight", "model.embed_tokens", true};
  return {"lm_head.weight", "lm_head", true};
}

MoeConfig parse_moe(const Config& text, int layers) {
  MoeConfig moe;
  moe.experts = expert_count(text);
  moe.sparse.assign(static_cast<std::size_t>(layers), false);
  if (moe.experts == 0) return moe;

  moe.top_k = count_of(text, "num_experts_per_tok", text.integer("num_experts_per_tok"));
  if (moe.top_k > moe.experts)
    fail(Fault::input, "{}: num_experts_per_tok is {} but there are {} experts", text.path(), moe.top_k, moe.experts);
  moe.intermediate = size_of(text, "moe_intermediate_size");
  moe.renormalize = text.boolean_or("norm_topk_prob", false);

  const int step = count_of(text, "decoder_sparse_step", text.integer_or("decoder_sparse_step", 1));
  for (int layer = 0; layer < layers; ++layer) moe.sparse[static_cast<std::size_t>(layer)] = (layer + 1) % step == 0;
  if (!text.has("mlp_only_layers")) return moe;
  for (const std::int64_t layer : text.integers("mlp_only_layers")) {
    if (layer < 0 || layer >= layers)
      fail(Fault::input, "{}: mlp_only_layers names layer {} of {}", text.path(), layer, layers);
    moe.sparse[static_cast<std::size_t>(layer)] = false;
  }
  return moe;
}

}  // namespace strata
