// A checkpoint of any family at any size, made up: config.json, safetensors shards and their index.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "formats/tensor.h"

namespace strata::synthetic {

// "num_hidden_layers", 16: members of config.json.
using Sizes = std::vector<std::pair<std::string, std::int64_t>>;

// The config.json of a small model of the family, or Error{usage} that names the families.
std::string family_config(const std::string& family);

// With other sizes: in text_config where the file has one. A list with an entry a layer follows the number of layers.
std::string resized_config(const std::string& json, const Sizes& sizes);

struct ModelOptions {
  std::string config;  // config.json as text
  Dtype dtype = Dtype::bf16;
  std::uint64_t shard_bytes = 5'000'000'000;
  std::uint64_t seed = 1;
};

// Writes the folder: exactly the tensors that the family's profile asks for, in the order of a saved model, random
// values in each (values.h). Error{usage} when the folder exists. Returns the bytes of all tensors.
std::uint64_t write_model(const std::string& folder, const ModelOptions& options);

// input_ids [rows, columns] below the model's vocabulary.
void write_tokens(const std::string& path, const ModelOptions& options, std::int64_t rows, std::int64_t columns);

}  // namespace strata::synthetic
