#include "engine/plan/vllm_model.h"

#include <fmt/core.h>

#include "profiles/profile.h"

namespace strata {
namespace {

// vLLM looks for the class by its name: without one it takes the base class of model_type. LlamaModel and MistralModel
// are known to it and become their causal classes, all others an embedding model (measured with 0.32 on Llama, Qwen3
// and Qwen3-MoE). transformers' AutoModelForCausalLM goes by model_type.
std::string without_architectures(const Config& config) {
  if (config.has("architectures") && !config.texts("architectures").empty()) return {};
  const Profile& profile = require_profile(config);
  if (profile.name == "llama" || profile.name == "mistral") return {};
  return fmt::format(
      "config.json has no architectures, and vLLM takes the model for one of embeddings, which does not generate text "
      "(0.32); add \"architectures\": [\"{}\"]",
      profile.architectures.front());
}

// vLLM skips the head of a tied model and then misses the embedding (0.32); transformers finds either.
std::string stored_as_head(const ModelSpec& spec) {
  if (!spec.tied || !spec.embedding.ends_with("lm_head.weight")) return {};
  return fmt::format(
      "{} is the one matrix of embedding and head, and vLLM (0.32) looks for it under the name of the embedding; a "
      "source "
      "saved again by transformers 5 has that name",
      spec.embedding);
}

}  // namespace

std::string vllm_model_refusal(const Config& config, const ModelSpec& spec) {
  std::string refusal = without_architectures(config);
  return refusal.empty() ? stored_as_head(spec) : refusal;
}

}  // namespace strata
