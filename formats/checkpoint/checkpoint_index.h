// model.safetensors.index.json: which shard holds which tensor.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace strata {

using WeightMap = std::map<std::string, std::string, std::less<>>;  // tensor -> file name

// Error{input} on broken JSON, a tensor that is named twice, or a shard that is not the plain name of a
// safetensors file: a path in an index never leaves the folder.
WeightMap read_checkpoint_index(const std::string& path);

}  // namespace strata
