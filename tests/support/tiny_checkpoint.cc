#include "tests/support/tiny_checkpoint.h"

#include <cstring>
#include <random>

#include "base/file.h"
#include "formats/checkpoint/safetensors.h"

namespace strata::test {

StoredTensor f32_tensor(std::string name, Shape shape, std::span<const float> values) {
  StoredTensor tensor{.name = std::move(name), .dtype = Dtype::f32, .shape = std::move(shape)};
  tensor.bytes.resize(values.size_bytes());
  std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
  return tensor;
}

StoredTensor random_tensor(std::string name, Shape shape, Dtype dtype, unsigned seed, float deviation) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(element_count(shape).value());
  for (float& value : values) value = normal(generator);
  if (dtype == Dtype::f32) return f32_tensor(std::move(name), std::move(shape), values);

  StoredTensor tensor{.name = std::move(name), .dtype = Dtype::bf16, .shape = std::move(shape)};
  tensor.bytes.resize(values.size() * 2);
  for (std::size_t i = 0; i < values.size(); ++i)  // the upper half of a float32 is a bf16 (rounded toward zero)
    std::memcpy(tensor.bytes.data() + 2 * i, reinterpret_cast<const std::byte*>(&values[i]) + 2, 2);
  return tensor;
}

void write_safetensors(const std::string& path, std::span<const StoredTensor> tensors, std::string_view writer) {
  std::vector<TensorInfo> infos;
  for (const StoredTensor& tensor : tensors)
    infos.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape});
  std::string file = print_safetensors(infos, writer);
  for (const StoredTensor& tensor : tensors)
    file.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  write_text(path, file);
}

void write_checkpoint(const std::string& folder, std::string_view config_json, std::span<const StoredTensor> tensors,
                      std::string_view writer) {
  make_directory(folder);
  write_text(join_path(folder, "config.json"), config_json);
  write_safetensors(join_path(folder, "model.safetensors"), tensors, writer);
}

}  // namespace strata::test
