#include "engine/plan/tensor_kind.h"

#include <algorithm>
#include <span>

namespace strata {

namespace {

bool contains_any(std::string_view name, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return name.find(word) != std::string_view::npos; });
}

bool ends_with_any(std::string_view name, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return name.ends_with(word); });
}

bool starts_with_any(std::string_view name, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return name.starts_with(word); });
}

// Everything that makes codes into weights, in the spellings of compressed-tensors, FP8 sources, ModelOpt,
// GPTQ, AWQ and gpt-oss.
constexpr std::string_view scale_endings[] = {"weight_scale",
                                              "weight_scale_inv",
                                              "weight_scale_2",
                                              "weight_global_scale",
                                              "input_global_scale",
                                              "input_scale",
                                              "activation_scale",
                                              "weight_shape",
                                              "weight_zero_point",
                                              "input_zero_point",
                                              "weight_g_idx",
                                              ".scale",
                                              ".scales",
                                              "_scales",
                                              "_scale_inv",
                                              ".qzeros",
                                              ".g_idx",
                                              ".k_scale",
                                              ".v_scale"};

constexpr std::string_view foreign_starts[] = {
    "visual.", "model.visual.", "vision_", "model.vision_", "multi_modal_projector", "model.multi_modal_projector",
    "mtp.",    "model.mtp.",    "audio_"};

constexpr std::string_view embedding_words[] = {"embed_tokens", "word_embeddings", "tok_embeddings", "wte.",
                                                "embed_in."};
constexpr std::string_view head_words[] = {"lm_head.", "embed_out."};
constexpr std::string_view router_endings[] = {".gate.weight", ".gate.bias",      ".router.weight",
                                               ".router.bias", "correction_bias", "shared_expert_gate.weight",
                                               ".tid2eid",     "per_expert_scale"};
constexpr std::string_view norm_words[] = {"norm", ".ln_", "ln_f."};
constexpr std::string_view expert_words[] = {".experts.", ".shared_expert", ".shared_mlp."};
constexpr std::string_view attention_words[] = {"attn", "attention", ".mixer."};
constexpr std::string_view mlp_words[] = {".mlp.", ".ffn.", ".feed_forward."};

}  // namespace

std::string_view tensor_kind(std::string_view name) {
  if (ends_with_any(name, scale_endings)) return "scales";
  if (starts_with_any(name, foreign_starts)) return "other";
  if (contains_any(name, embedding_words) || name == "embed.weight") return "embedding";
  if (contains_any(name, head_words) || name == "head.weight" || name == "output.weight") return "head";
  if (ends_with_any(name, router_endings)) return "router";
  if (contains_any(name, norm_words)) return "norm";
  if (contains_any(name, expert_words)) return "experts";
  if (contains_any(name, attention_words)) return "attention";
  if (contains_any(name, mlp_words)) return "mlp";
  return "other";
}

}  // namespace strata
