// Writes small checkpoints for tests.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor.h"

namespace strata::test {

struct StoredTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape = {};
  std::vector<std::byte> bytes = {};
};

// A tensor of float32 values, stored as they are.
StoredTensor f32_tensor(std::string name, Shape shape, std::span<const float> values);
// A tensor filled with reproducible pseudo-random normals of the given deviation, stored as f32 or bf16.
StoredTensor random_tensor(std::string name, Shape shape, Dtype dtype, unsigned seed, float deviation = 0.05f);

// `writer` stands in the metadata, where our outputs say "strata".
void write_safetensors(const std::string& path, std::span<const StoredTensor> tensors, std::string_view writer = {});

// config.json and model.safetensors in `folder`.
void write_checkpoint(const std::string& folder, std::string_view config_json, std::span<const StoredTensor> tensors,
                      std::string_view writer = {});

}  // namespace strata::test
