#include "tests/support/tiny_llama.h"

#include <fmt/core.h>

#include <cstring>
#include <random>

#include "tests/support/tiny_checkpoint.h"

namespace strata::test {

void write_tiny_llama(const std::string& folder, const TinyLlama& model) {
  const std::string family = model.window > 0 ? fmt::format(R"("architectures": ["MistralForCausalLM"],
  "model_type": "mistral", "sliding_window": {})",
                                                            model.window)
                                              : R"("architectures": ["LlamaForCausalLM"], "model_type": "llama")";
  const std::string config = fmt::format(
      R"({{{}, "hidden_size": 128, "intermediate_size": {},
  "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "vocab_size": 16,
  "max_position_embeddings": {}, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": {}}}
)",
      family, model.inner, model.window > 0 ? 4096 : 64, model.tied);
  std::vector<StoredTensor> tensors;
  const auto add = [&](const std::string& name, Shape shape, float deviation = 0.1f) {
    tensors.push_back(
        random_tensor(name, std::move(shape), Dtype::bf16, static_cast<unsigned>(tensors.size()), deviation));
    if (name != model.nan_in) return;
    const unsigned char nan[2] = {0xC0, 0x7F};
    std::memcpy(tensors.back().bytes.data() + 2 * model.nan_at, nan, 2);
  };
  add("model.embed_tokens.weight", {16, 128}, 1.0f);
  if (!model.tied) add("lm_head.weight", {16, 128});
  add("model.norm.weight", {128}, 1.0f);
  const std::string layer = "model.layers.0.";
  add(layer + "input_layernorm.weight", {128}, 1.0f);
  add(layer + "post_attention_layernorm.weight", {128}, 1.0f);
  add(layer + "self_attn.q_proj.weight", {128, 128});
  add(layer + "self_attn.k_proj.weight", {64, 128});
  add(layer + "self_attn.v_proj.weight", {64, 128});
  add(layer + "self_attn.o_proj.weight", {128, 128});
  add(layer + "mlp.gate_proj.weight", {model.inner, 128});
  add(layer + "mlp.up_proj.weight", {model.inner, 128});
  add(layer + "mlp.down_proj.weight", {128, model.inner});
  write_checkpoint(folder, config, tensors);
}

void write_token_rows(const std::string& path, std::int64_t rows, std::int64_t columns, std::int32_t vocabulary) {
  std::mt19937 generator(11);
  StoredTensor ids{.name = "input_ids", .dtype = Dtype::i64, .shape = {rows, columns}};
  ids.bytes.resize(static_cast<std::size_t>(rows * columns) * 8);
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const std::int64_t id = static_cast<std::int64_t>(generator()) % vocabulary;
    std::memcpy(ids.bytes.data() + 8 * i, &id, 8);
  }
  write_safetensors(path, {&ids, 1});
}

}  // namespace strata::test
