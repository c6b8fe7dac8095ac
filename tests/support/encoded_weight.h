// A weight encoded in a number format: its fields with their bytes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/number_format.h"
#include "tests/support/tiny_checkpoint.h"

namespace strata::test {

struct EncodedWeight {
  std::vector<Field> fields;
  std::vector<std::vector<std::byte>> bytes;

  const std::vector<std::byte>& at(std::string_view suffix) const;
  std::vector<std::uint8_t> codes(std::string_view suffix) const;  // the same as numbers
  float scalar(std::string_view suffix) const;                     // its first four bytes as float32
};

EncodedWeight encode_weight(const NumberFormat& format, const WeightView& weight, EncodeContext context);

// float32 weights; the fused maximum is the weight's own.
EncodedWeight encode_weight(const NumberFormat& format, const std::vector<float>& weight, std::int64_t cols);

std::vector<float> decode_weight(const NumberFormat& format, const EncodedWeight& encoded, const Shape& shape);

// Values rounded to bfloat16, as bits.
std::vector<std::uint16_t> bf16_bits(const std::vector<float>& values);

// All tensors of a safetensors file, by module (the name up to the last dot), then by suffix.
using StoredModules = std::map<std::string, std::map<std::string, StoredTensor>>;
StoredModules read_modules(const std::string& path);

std::vector<float> float_values(const StoredTensor& tensor);  // of an F32 tensor

}  // namespace strata::test
