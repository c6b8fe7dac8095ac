#include "tests/support/coded_llama.h"

#include <cstring>
#include <random>

#include "base/file.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/tiny_llama.h"

namespace strata::test {

StoredTensor random_codes(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::mt19937 generator(seed);
  StoredTensor codes{.name = "", .dtype = Dtype::f8_e4m3, .shape = {rows, cols}};
  codes.bytes.resize(static_cast<std::size_t>(rows * cols));
  for (std::byte& code : codes.bytes) {
    code = static_cast<std::byte>(generator() % 256);
    if ((code & std::byte{0x7f}) == std::byte{0x7f}) code = std::byte{0x7e};
  }
  return codes;
}

StoredTensor scalar(float value) { return f32_tensor("", {}, {&value, 1}); }

StoredTensor grid(std::int64_t rows, std::int64_t cols, float value) {
  return f32_tensor("", {rows, cols}, std::vector<float>(static_cast<std::size_t>(rows * cols), value));
}

CodedTensors block_coded(const CodedLinear& linear) {
  return {{"weight", random_codes(linear.rows, linear.cols, static_cast<unsigned>(linear.rows))},
          {"weight_scale_inv", grid((linear.rows + 127) / 128, (linear.cols + 127) / 128, 0.001f)}};
}

CodedTensors static_coded(const CodedLinear& linear, const std::string& odd) {
  return {{"weight", random_codes(linear.rows, linear.cols, static_cast<unsigned>(linear.rows))},
          {"weight_scale_inv", scalar(linear.module.ends_with(odd) ? 0.005f : 0.0078125f)},
          {"activation_scale", scalar(0.02f)}};
}

void write_coded_llama(const std::string& folder, const std::string& quantization, std::int64_t inner,
                       const std::function<CodedTensors(const CodedLinear&)>& code,
                       const std::vector<StoredTensor>& extra) {
  write_tiny_llama(folder, {.inner = inner});
  std::vector<StoredTensor> tensors = extra;
  for (auto& [module, parts] : read_modules(join_path(folder, "model.safetensors")))
    for (auto& [suffix, tensor] : parts) {
      if (!module.ends_with("_proj")) {
        tensor.name = module + "." + suffix;
        tensors.push_back(std::move(tensor));
        continue;
      }
      for (auto& [field, coded] : code({module, tensor.shape[0], tensor.shape[1]})) {
        tensors.push_back(std::move(coded));
        tensors.back().name = module + "." + field;
      }
    }
  std::string config = read_text(join_path(folder, "config.json"));
  if (!quantization.empty()) config.insert(1, "\"quantization_config\": " + quantization + ", ");
  write_checkpoint(folder, config, tensors);
}

}  // namespace strata::test
