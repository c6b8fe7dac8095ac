// A pass that takes given cotangents of what leaves the last layer back through the model, layer by layer, to what
// leaves the embedding.
#pragma once

#include "engine/graph/facts.h"
#include "engine/graph/pass_type.h"

namespace strata::test {

inline constexpr int cotangent_sets = 3;  // K

inline constexpr Fact<Lanes> cotangents{{.name = "cotangents", .life = Life::run, .moves_on = true}};

// In `PlacesRequest::work_directory`: float32 [K, samples, tokens, hidden], given and found.
inline constexpr const char* given_file = "cotangents.f32";
inline constexpr const char* found_file = "gradients.f32";

extern const PassType back_propagate;

}  // namespace strata::test
