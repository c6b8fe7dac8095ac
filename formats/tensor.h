// What a stored tensor is: element type, shape, place in a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// Every element type of the safetensors format, in the order in which the reference writer sorts
// tensors (low to high). As on disk, not as in libtorch.
enum class Dtype : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

std::string_view dtype_name(Dtype dtype);  // "BF16", as in a safetensors header
std::optional<Dtype> parse_dtype(std::string_view name);
int dtype_bits(Dtype dtype);
inline std::uint64_t dtype_bytes(Dtype dtype) { return static_cast<std::uint64_t>(dtype_bits(dtype)) / 8; }

using Shape = std::vector<std::int64_t>;  // outermost first; a Linear's weight is [out, in]

// Number of elements; nullopt on overflow or a negative dimension. [] is one element.
std::optional<std::uint64_t> element_count(const Shape& shape);

// Bytes of a tensor; nullopt on overflow or when the bits are not whole bytes.
std::optional<std::uint64_t> tensor_bytes(Dtype dtype, const Shape& shape);

std::string shape_text(const Shape& shape);  // "[256, 128]"

struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::uint64_t offset = 0;  // of the first byte, from the start of its file
  std::uint64_t bytes = 0;
  int file = 0;  // index into the checkpoint's files
};

}  // namespace strata
