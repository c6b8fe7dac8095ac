#include "tests/support/encoded_weight.h"

#include <cstring>
#include <stdexcept>

#include "base/file.h"
#include "formats/checkpoint/safetensors.h"
#include "formats/weight/weights.h"

namespace strata::test {

const std::vector<std::byte>& EncodedWeight::at(std::string_view suffix) const {
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].suffix == suffix) return bytes[i];
  throw std::out_of_range("no field " + std::string(suffix));
}

std::vector<std::uint8_t> EncodedWeight::codes(std::string_view suffix) const {
  std::vector<std::uint8_t> numbers;
  for (const std::byte b : at(suffix)) numbers.push_back(static_cast<std::uint8_t>(b));
  return numbers;
}

float EncodedWeight::scalar(std::string_view suffix) const {
  float value = 0;
  std::memcpy(&value, at(suffix).data(), sizeof value);
  return value;
}

EncodedWeight encode_weight(const NumberFormat& format, const WeightView& weight, EncodeContext context) {
  if (format.shared_scale != nullptr && context.shared_scale == 0)
    context.shared_scale = format.shared_scale({&weight, 1}, context);
  EncodedWeight encoded;
  encoded.fields = format.fields({weight.rows, weight.cols}, weight.dtype, context.rule);
  std::vector<std::span<std::byte>> out;
  for (const Field& field : encoded.fields) encoded.bytes.emplace_back(*tensor_bytes(field.dtype, field.shape));
  for (std::vector<std::byte>& bytes : encoded.bytes) out.emplace_back(bytes);
  format.encode(weight, context, out);
  return encoded;
}

EncodedWeight encode_weight(const NumberFormat& format, const std::vector<float>& weight, std::int64_t cols) {
  const WeightView view{weight.data(), Dtype::f32, static_cast<std::int64_t>(weight.size()) / cols, cols};
  return encode_weight(format, view, {.fused_amax = amax(weight), .input_amax = 1});
}

std::vector<float> decode_weight(const NumberFormat& format, const EncodedWeight& encoded, const Shape& shape) {
  std::vector<std::span<const std::byte>> bytes(encoded.bytes.begin(), encoded.bytes.end());
  std::vector<float> out(static_cast<std::size_t>(*element_count(shape)));
  format.decode(encoded.fields, bytes, shape, out);
  return out;
}

std::vector<std::uint16_t> bf16_bits(const std::vector<float>& values) {
  std::vector<std::uint16_t> bits(values.size());
  to_bf16(values, std::as_writable_bytes(std::span(bits)));
  return bits;
}

StoredModules read_modules(const std::string& path) {
  const InputFile file(path);
  std::vector<std::byte> prefix(8);
  file.read_at(0, prefix);
  std::string header(safetensors_header_bytes(prefix, file.size(), path), ' ');
  file.read_at(8, std::as_writable_bytes(std::span(header)));
  StoredModules modules;
  for (const TensorInfo& info : parse_safetensors(std::span<const std::byte, 8>(prefix), header, file.size(), path)) {
    const std::size_t dot = info.name.rfind('.');
    StoredTensor tensor{info.name, info.dtype, info.shape, std::vector<std::byte>(info.bytes)};
    file.read_at(info.offset, tensor.bytes);
    modules[info.name.substr(0, dot)][info.name.substr(dot + 1)] = std::move(tensor);
  }
  return modules;
}

std::vector<float> float_values(const StoredTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

}  // namespace strata::test
