// Small sources and their outputs, encoded tensor by tensor, for the tests of verify and diff to break.
#pragma once

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/config/config_group.h"
#include "formats/config/quantization_config.h"
#include "formats/weight/weights.h"
#include "profiles/profile.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

namespace strata::test {

// Layer 0 is dense, layers 1 and 2 have two experts each.
inline const char* const config_json = R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
  "hidden_size": 128, "intermediate_size": 128, "moe_intermediate_size": 128, "num_hidden_layers": 3,
  "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "num_experts": 2, "num_experts_per_tok": 1,
  "decoder_sparse_step": 1, "mlp_only_layers": [0], "norm_topk_prob": true, "vocab_size": 16,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
  "tie_word_embeddings": false, "attention_bias": false})";

// The same with 256 columns, so that blocks of 128 x 128 tile; k and v have 128 rows.
inline std::string wide_config() {
  std::string text = config_json;
  for (const char* key : {"\"hidden_size\": 128", "\"intermediate_size\": 128", "\"moe_intermediate_size\": 128"})
    text.replace(text.find(key) + std::string_view(key).size() - 3, 3, "256");
  return text.replace(text.find("\"head_dim\": 64"), 14, "\"head_dim\": 128");
}

// And with 128 tokens, so that they tile a head.
inline std::string wide_head_config() {
  std::string text = wide_config();
  return text.replace(text.find("\"vocab_size\": 16"), 16, "\"vocab_size\": 128");
}

// Without experts.
inline const char* const dense_config = R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
  "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2,
  "num_key_value_heads": 1, "head_dim": 64, "vocab_size": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
  "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false, "attention_bias": false})";

using Tensors = std::map<std::string, StoredTensor>;
using Formats = std::function<std::string(const std::string& module)>;  // "" keeps a Linear

inline Tensors source_tensors(const std::string& config_text = config_json) {
  const Config config = Config::parse(config_text, "config.json");
  const std::int64_t width = config.integer("hidden_size"), head = config.integer("head_dim");
  const bool experts = config.has("num_experts");
  Tensors all;
  unsigned seed = 0;
  const auto add = [&](const std::string& name, Shape shape) {
    all[name] = random_tensor(name, std::move(shape), Dtype::bf16, ++seed);
  };
  add("model.embed_tokens.weight", {config.integer("vocab_size"), width});
  add("lm_head.weight", {config.integer("vocab_size"), width});
  add("model.norm.weight", {width});
  for (int i = 0; i < 3; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) add(layer + norm + ".weight", {width});
    for (const char* norm : {"q_norm", "k_norm"}) add(layer + "self_attn." + norm + ".weight", {head});
    for (const char* projection : {"q_proj", "o_proj"})
      add(layer + "self_attn." + projection + ".weight", {width, width});
    for (const char* projection : {"k_proj", "v_proj"})
      add(layer + "self_attn." + projection + ".weight", {head, width});
    std::vector<std::string> blocks = {layer + "mlp."};
    if (experts && i > 0) {
      add(layer + "mlp.gate.weight", {2, width});
      blocks = {layer + "mlp.experts.0.", layer + "mlp.experts.1."};
    }
    for (const std::string& block : blocks)
      for (const char* projection : {"gate_proj", "up_proj", "down_proj"})
        add(block + projection + ".weight", {width, width});
  }
  return all;
}

inline std::vector<StoredTensor> values(const Tensors& tensors) {
  std::vector<StoredTensor> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor);
  return list;
}

inline WeightView view(const StoredTensor& weight) {
  return {weight.bytes.data(), weight.dtype, weight.shape[0], weight.shape[1]};
}

inline bool is_expert(const std::string& module) { return module.find(".experts.") != std::string::npos; }
inline bool is_body(const std::string& module) { return module != "lm_head" && !module.ends_with("mlp.gate"); }

// A source and its output, which a test may break before it is written.
struct Output {
  TemporaryFolder folder;
  std::string source = folder.file("source"), model = folder.file("out");
  std::string source_config = config_json, config;
  std::string writer = "strata";  // or "", as other tools
  Tensors dense, tensors;
  ModelSpec spec;

  explicit Output(const Formats& format_of, std::string from_config = config_json)
      : source_config(std::move(from_config)), dense(source_tensors(source_config)) {
    write_checkpoint(source, source_config, values(dense));
    write_text(join_path(source, "tokenizer.json"), "{}");
    const Checkpoint checkpoint = Checkpoint::open(source);
    spec = require_profile(checkpoint.config()).describe(checkpoint.config(), [&](std::string_view name) {
      return checkpoint.find(name);
    });
    tensors = dense;
    std::vector<LinearFormat> formats;
    for (const LinearSpec* linear : all_linears()) {
      const std::string name = format_of(linear->module);
      const NumberFormat& format = require_number_format(name.empty() ? "KEEP" : name);
      formats.push_back({.module = linear->module, .format = &format, .fused_with = {}, .fused_name = {}});
      if (!linear->fused_module.empty()) formats.back().fused_name = leaf(linear->fused_module);
      for (const LinearSpec* other : fused(*linear)) formats.back().fused_with.push_back(leaf(other->module));
      if (!name.empty()) encode(*linear, format);
    }
    config = quantized_config_json(source_config, formats);
  }

  std::vector<const LinearSpec*> all_linears() const {
    std::vector<const LinearSpec*> all = {&spec.head};
    for (const LayerSpec& layer : spec.layers)
      for (const LinearSpec* linear : linears(layer)) all.push_back(linear);
    return all;
  }

  static std::string leaf(const std::string& module) { return module.substr(module.rfind('.') + 1); }

  // All that are served as one matrix with it, itself included.
  std::vector<const LinearSpec*> fused(const LinearSpec& linear) const {
    std::vector<const LinearSpec*> group;
    for (const LinearSpec* other : all_linears())
      if (other->module == linear.module ||
          (!linear.fused_module.empty() && other->fused_module == linear.fused_module))
        group.push_back(other);
    return group;
  }

  void encode(const LinearSpec& linear, const NumberFormat& format) {
    const StoredTensor& weight = dense.at(linear.module + ".weight");
    tensors.erase(weight.name);
    std::vector<std::span<std::byte>> out;
    for (const Field& field : format.fields(weight.shape, weight.dtype, ScaleRule::minmax)) {
      StoredTensor& stored = tensors[linear.module + "." + field.suffix];
      stored = {.name = linear.module + "." + field.suffix, .dtype = field.dtype, .shape = field.shape};
      stored.bytes.resize(tensor_bytes(field.dtype, field.shape).value());
      out.emplace_back(stored.bytes);
    }
    EncodeContext context{.input_amax = 3};
    std::vector<WeightView> group;
    for (const LinearSpec* other : fused(linear)) {
      group.push_back(view(dense.at(other->module + ".weight")));
      context.fused_amax = std::max(context.fused_amax, finite_amax(group.back(), other->module));
    }
    if (format.shared_scale != nullptr) context.shared_scale = format.shared_scale(group, context);
    format.encode(view(weight), context, out);
  }

  // Stores a Linear in another format; the config still has to say so.
  void encode_again(const std::string& module, std::string_view format) {
    std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(module + "."); });
    for (const LinearSpec* linear : all_linears())
      if (linear->module == module) encode(*linear, require_number_format(format));
  }

  void write() const {
    write_checkpoint(model, config, values(tensors), writer);
    write_text(join_path(model, "tokenizer.json"), "{}");
  }

  StoredTensor& tensor(const std::string& name) {
    REQUIRE(tensors.contains(name));
    return tensors[name];
  }
  void set_float(const std::string& name, float value, std::size_t index = 0) {
    std::memcpy(tensor(name).bytes.data() + 4 * index, &value, sizeof value);
  }
};

inline std::string tied(std::string config) {
  return config.replace(config.find("\"tie_word_embeddings\": false"), 28, "\"tie_word_embeddings\": true ");
}

inline Formats body(const std::string& name) {
  return [name](const std::string& module) { return is_body(module) ? name : ""; };
}

// A config with these groups, whatever they match.
struct Group {
  std::string_view format;
  std::vector<std::string> targets;
};

inline std::string config_of(const std::vector<Group>& groups, const std::vector<std::string>& ignore,
                             std::string config = config_json) {
  const auto list = [](const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", name);
    return text;
  };
  std::string all;
  std::set<std::string> formats;
  int index = 0;
  for (const Group& group : groups) {
    const StatedScheme& scheme = require_number_format(group.format).scheme;
    std::string text = pretty_json(config_group(scheme));
    formats.emplace(scheme.format);
    text.insert(1, fmt::format("\"targets\": [{}], ", list(group.targets)));
    all += fmt::format("{}\"group_{}\": {}", all.empty() ? "" : ", ", index++, text);
  }
  return config.insert(1, fmt::format(R"("quantization_config": {{"quant_method": "compressed-tensors", "format": "{}",
        "quantization_status": "compressed", "config_groups": {{{}}}, "ignore": [{}]}}, )",
                                      formats.size() == 1 ? *formats.begin() : "mixed-precision", all, list(ignore)));
}

}  // namespace strata::test
