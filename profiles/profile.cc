#include "profiles/profile.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"

namespace strata {

namespace {

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
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

const Profile& require_profile(const Config& config) {
  if (const Profile* profile = find_profile(config)) return *profile;
  const Identity found = identity(config);
  const bool named = !found.architectures.empty();
  if (!named && found.model_type.empty())
    fail(Fault::input, "{}: neither architectures nor model_type says which family this is", config.path());
  std::vector<std::string> known;
  for (const Profile* profile : profiles())
    for (const std::string_view name : named ? profile->architectures : profile->model_types) known.emplace_back(name);
  const std::string& typed = named ? found.architectures.front() : found.model_type;
  fail(Fault::input, "{}: {} {} is not supported{}; `strata profiles` lists the families", config.path(),
       named ? "architecture" : "model_type", typed, suggest(typed, known));
}

}  // namespace strata
