// Which files of a model folder are read and which are copied along. Looks at names and links only, not at weights.
#pragma once

#include <string>
#include <vector>

#include "formats/checkpoint/checkpoint_index.h"

namespace strata {

struct CheckpointFiles {
  std::string config;                 // full paths; the rest are names in the folder
  std::string index;                  // empty when there is none
  std::vector<std::string> shards;    // the safetensors files that hold the model, sorted
  std::vector<std::string> sidecars;  // to copy along, sorted; SideFiles::copied
  WeightMap shard_of;                 // of the index; empty when there is none
};

// Error{input} that says what the folder is and what to do when it is not a safetensors checkpoint, is not
// whole, or holds a link that leaves it.
CheckpointFiles find_checkpoint_files(const std::string& directory);

}  // namespace strata
