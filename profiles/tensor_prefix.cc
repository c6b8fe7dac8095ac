#include "profiles/tensor_prefix.h"

#include <optional>
#include <string_view>

#include "base/error.h"
#include "profiles/canonical.h"

namespace strata {
namespace {

constexpr std::string_view usual = "model.";
constexpr std::string_view norm = "layers.0.input_layernorm.weight";  // every decoder here has it

// What stands before it; nullopt when there is none, or one with the usual prefix.
std::optional<std::string> other_prefix(const Checkpoint& checkpoint) {
  std::optional<std::string> found;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (!tensor.name.ends_with(norm)) continue;
    const std::string prefix = tensor.name.substr(0, tensor.name.size() - norm.size());
    if (prefix == usual) return std::nullopt;
    if (prefix.empty() || prefix.ends_with('.')) found = prefix;
  }
  return found;
}

}  // namespace

void require_usual_prefix(const Checkpoint& checkpoint) {
  const std::optional<std::string> prefix = other_prefix(checkpoint);
  if (!prefix) return;
  if (!prefix->empty())
    fail(Fault::input,
         "{}: its tensors stand under \"{}\" ({}{}), loaders look under \"{}\"; rename them (docs/checkpoints.md has "
         "the "
         "lines)",
         checkpoint.directory(), *prefix, *prefix, norm, usual);
  if (!ties_ends(checkpoint.config()) && checkpoint.find("lm_head.weight") == nullptr)
    fail(
        Fault::input,
        "{}: is a base model: its tensors have no \"{}\" before their names ({}), and there is no lm_head.weight; give "
        "the checkpoint of the causal model",
        checkpoint.directory(), usual, norm);
  fail(Fault::input,
       "{}: is a base model: its tensors have no \"{}\" before their names ({}); load it with transformers' "
       "AutoModelForCausalLM and save it again",
       checkpoint.directory(), usual, norm);
}

}  // namespace strata
