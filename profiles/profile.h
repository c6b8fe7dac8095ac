// A model family: how its config.json and tensor names become a ModelSpec. One file each under
// profiles/family; docs/add-a-profile.md shows how to add one.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "formats/checkpoint/checkpoint.h"
#include "formats/config/config.h"
#include "formats/tensor.h"
#include "profiles/model_spec.h"

namespace strata {

// Finds a tensor of the checkpoint by name; nullptr when it is not there. Profiles probe it where configs
// cannot be trusted (which end of a tied head is stored, optional biases).
using TensorLookup = std::function<const TensorInfo*(std::string_view name)>;

struct Profile {
  std::string_view name;                            // "qwen3_moe"
  std::string_view summary;                         // one line for `strata profiles`
  std::span<const std::string_view> architectures;  // "Qwen3MoeForCausalLM"
  std::span<const std::string_view> model_types;    // "qwen3_moe"; decides when architectures is missing
  // Error{input} naming the key when the config asks for something that the interpreter does not do.
  ModelSpec (*describe)(const Config& config, const TensorLookup& tensors);
};

std::span<const Profile* const> profiles();  // in order of file name (generated from profiles/family/*.cc)

const Profile* find_profile(const Config& config);     // nullptr for a family that is not known
const Profile& require_profile(const Config& config);  // Error{input} that lists what is known, with a suggestion

// As describe(), of the checkpoint's own config and tensors, with the Linears numbered.
ModelSpec describe_model(const Profile& profile, const Checkpoint& checkpoint);

// The model that the checkpoint is to this profile. Error{input} as describe(), and for a checkpoint whose weights only
// another tool understands, or whose tensors have other names than the profile's.
ModelSpec describe_checkpoint(const Profile& profile, const Checkpoint& checkpoint);

}  // namespace strata
