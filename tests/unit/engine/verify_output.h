// A small Qwen3-MoE source and its output, encoded tensor by tensor, for the tests of verify to break.
#pragma once

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "base/file.h"
#include "engine/verify.h"
#include "formats/checkpoint.h"
#include "formats/quantization_config.h"
#include "formats/weights.h"
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

using Tensors = std::map<std::string, StoredTensor>;
using Formats = std::function<std::string(const std::string& module)>;  // "" keeps a Linear

inline Tensors source_tensors() {
  Tensors all;
  unsigned seed = 0;
  const auto add = [&](const std::string& name, Shape shape) {
    all[name] = random_tensor(name, std::move(shape), Dtype::bf16, ++seed);
  };
  add("model.embed_tokens.weight", {16, 128});
  add("lm_head.weight", {16, 128});
  add("model.norm.weight", {128});
  for (int i = 0; i < 3; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) add(layer + norm + ".weight", {128});
    for (const char* norm : {"q_norm", "k_norm"}) add(layer + "self_attn." + norm + ".weight", {64});
    for (const char* projection : {"q_proj", "o_proj"}) add(layer + "self_attn." + projection + ".weight", {128, 128});
    for (const char* projection : {"k_proj", "v_proj"}) add(layer + "self_attn." + projection + ".weight", {64, 128});
    std::vector<std::string> blocks = {layer + "mlp."};
    if (i > 0) {
      add(layer + "mlp.gate.weight", {2, 128});
      blocks = {layer + "mlp.experts.0.", layer + "mlp.experts.1."};
    }
    for (const std::string& block : blocks)
      for (const char* projection : {"gate_proj", "up_proj", "down_proj"})
        add(block + projection + ".weight", {128, 128});
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
  Tensors tensors;

  explicit Output(const Formats& format_of, std::string from_config = config_json)
      : source_config(std::move(from_config)) {
    const Tensors dense = source_tensors();
    write_checkpoint(source, source_config, values(dense));
    write_text(join_path(source, "tokenizer.json"), "{}");
    const Checkpoint checkpoint = Checkpoint::open(source);
    const ModelSpec spec =
        require_profile(checkpoint.config()).describe(checkpoint.config(), [&](std::string_view name) {
          return checkpoint.find(name);
        });
    tensors = dense;
    std::vector<const LinearSpec*> all = {&spec.head};
    for (const LayerSpec& layer : spec.layers)
      for (const LinearSpec* linear : linears(layer)) all.push_back(linear);
    std::vector<LinearFormat> formats;
    for (const LinearSpec* linear : all) {
      const std::string name = format_of(linear->module);
      if (name.empty()) continue;
      formats.push_back(
          {.module = linear->module, .format = &require_number_format(name), .fused_with = {}, .fused_name = {}});
      encode(*linear, *formats.back().format, fused_amax(*linear, all, dense), dense);
    }
    config = quantized_config_json(source_config, formats);
  }

  static float fused_amax(const LinearSpec& linear, const std::vector<const LinearSpec*>& all, const Tensors& dense) {
    float largest = 0;
    for (const LinearSpec* other : all)
      if (other == &linear || (!linear.fused_module.empty() && other->fused_module == linear.fused_module))
        largest = std::max(largest, finite_amax(view(dense.at(other->module + ".weight")), other->module));
    return largest;
  }

  void encode(const LinearSpec& linear, const NumberFormat& format, float amax, const Tensors& dense) {
    const StoredTensor& weight = dense.at(linear.module + ".weight");
    tensors.erase(weight.name);
    std::vector<std::span<std::byte>> out;
    for (const Field& field : format.fields(weight.shape, weight.dtype, ScaleRule::minmax)) {
      StoredTensor& stored = tensors[linear.module + "." + field.suffix];
      stored = {.name = linear.module + "." + field.suffix, .dtype = field.dtype, .shape = field.shape};
      stored.bytes.resize(tensor_bytes(field.dtype, field.shape).value());
      out.emplace_back(stored.bytes);
    }
    EncodeContext context{.fused_amax = amax, .input_amax = 3};
    const WeightView whole = view(weight);
    if (format.shared_scale != nullptr) context.shared_scale = format.shared_scale({&whole, 1}, context);
    format.encode(whole, context, out);
  }

  // Stores a Linear in another format; the config still has to say so.
  void encode_again(const std::string& module, std::string_view format) {
    std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(module + "."); });
    const Tensors dense = source_tensors();
    const LinearSpec linear{.module = module, .out = 0, .in = 0, .fused_module = "", .input = ""};
    encode(linear, require_number_format(format), fused_amax(linear, {&linear}, dense), dense);
  }

  void write() const {
    write_checkpoint(model, config, values(tensors));
    write_text(join_path(model, "tokenizer.json"), "{}");
  }

  StoredTensor& tensor(const std::string& name) {
    REQUIRE(tensors.contains(name));
    return tensors[name];
  }
  void set_float(const std::string& name, float value, std::size_t index = 0) {
    std::memcpy(tensor(name).bytes.data() + 4 * index, &value, sizeof value);
  }

  VerifyReport report(bool with_source = true) const {
    return verify({.model = model, .source = with_source ? source : ""});
  }
};

inline Formats body(const std::string& name) {
  return [name](const std::string& module) { return is_body(module) ? name : ""; };
}

// A config with two groups that quantized_config_json would refuse to write.
inline std::string two_groups(std::string_view first, std::string_view first_target, std::string_view second,
                              std::string_view second_target) {
  const auto group = [](std::string_view format, std::string_view target) {
    std::string text(require_number_format(format).config_group);
    return text.insert(1, fmt::format(R"("targets": ["{}"], )", target));
  };
  std::string text = config_json;
  return text.insert(
      1, fmt::format(R"("quantization_config": {{"quant_method": "compressed-tensors", "format": "mixed-precision",
        "quantization_status": "compressed", "config_groups": {{"group_0": {}, "group_1": {}}}, "ignore": []}}, )",
                     group(first, first_target), group(second, second_target)));
}

}  // namespace strata::test
