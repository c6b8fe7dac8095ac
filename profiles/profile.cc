#include "profiles/profile.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "profiles/canonical.h"
#include "profiles/source_storage.h"
#include "profiles/tensor_prefix.h"

namespace strata {

namespace {

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// "LlamaForCausalLM" for "LlamaModel": what a base model lacks is its head.
std::optional<std::string> causal_model_of(std::string_view architecture) {
  constexpr std::string_view base = "Model", causal = "ForCausalLM";
  if (!architecture.ends_with(base)) return std::nullopt;
  std::string name(architecture.substr(0, architecture.size() - base.size()));
  name += causal;
  const auto knows = [&](const Profile* profile) { return contains(profile->architectures, name); };
  return std::ranges::any_of(profiles(), knows) ? std::optional(name) : std::nullopt;
}

// What a config says that it is. `architectures` decides when it is there: a classifier on a Llama body has
// model_type llama too, but is not the model that the profile describes.
struct Identity {
  std::vector<std::string> architectures;
  std::string model_type;
};

Identity identity(const Config& config) {
  Identity found;
  if (config.has("architectures")) found.architectures = config.texts("architectures");
  found.model_type = config.text_or("model_type", "");
  if (found.model_type.empty()) found.model_type = text_config(config).text_or("model_type", "");
  return found;
}

bool matches(const Profile& profile, const Identity& found) {
  if (found.architectures.empty()) return contains(profile.model_types, found.model_type);
  return std::any_of(found.architectures.begin(), found.architectures.end(),
                     [&](const std::string& name) { return contains(profile.architectures, name); });
}

}  // namespace

const Profile* find_profile(const Config& config) {
  const Identity found = identity(config);
  for (const Profile* profile : profiles())
    if (matches(*profile, found)) return profile;
  return nullptr;
}

ModelSpec describe_model(const Profile& profile, const Checkpoint& checkpoint) {
  ModelSpec model = profile.describe(checkpoint.config(), [&](std::string_view name) { return checkpoint.find(name); });
  number_linears(model);
  return model;
}

ModelSpec describe_checkpoint(const Profile& profile, const Checkpoint& checkpoint) {
  require_known_tool(checkpoint);
  require_usual_prefix(checkpoint);
  return describe_model(profile, checkpoint);
}

const Profile& require_profile(const Config& config) {
  if (const Profile* profile = find_profile(config)) return *profile;
  const Identity found = identity(config);
  const bool named = !found.architectures.empty();
  if (!named && found.model_type.empty())
    fail(Fault::input, "{}: neither architectures nor model_type says which family this is", config.path());
  std::vector<std::string> known;
  for (const Profile* profile : profiles())
    for (const std::string_view name : named ? profile->architectures : profile->model_types) known.emplace_back(name);
  if (const auto causal = named ? causal_model_of(found.architectures.front()) : std::nullopt)
    fail(Fault::input, "{}: architecture {} is the base model of {}, without a head; {}", config.path(),
         found.architectures.front(), *causal,
         ties_ends(config)
             ? "its head is the embedding: load it with transformers' AutoModelForCausalLM and save it again"
             : "give the checkpoint of the causal model");
  const std::string& typed = named ? found.architectures.front() : found.model_type;
  fail(Fault::input, "{}: {} {} is not supported{}; `strata profiles` lists the families", config.path(),
       named ? "architecture" : "model_type", typed, suggest(typed, known));
}

}  // namespace strata
