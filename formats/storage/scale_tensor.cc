#include "formats/storage/scale_tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

constexpr std::array<std::string_view, 3> suffixes = {"weight_scale_inv", "weight_scale", "scale"};

// 2^(code - 127); code 0 is 2^-127, a subnormal of float32.
float e8m0_value(std::uint32_t code) { return std::bit_cast<float>(code == 0 ? 0x00400000u : code << 23); }

std::string place(const Shape& shape, std::size_t index) {
  if (shape.size() != 2) return fmt::format("element {}", index);
  const auto cols = static_cast<std::size_t>(shape[1]);
  return fmt::format("row {}, column {}", index / cols, index % cols);
}

}  // namespace

const TensorInfo* fp8_scales(const Stem& stem) {
  for (const std::string_view suffix : suffixes)
    if (const TensorInfo* const found = stem.tensor(suffix)) return found;
  return nullptr;
}

Fp8Scales fp8_scales_of(const Stem& stem) {
  if (!stem.has("weight", {Dtype::f8_e4m3})) return Fp8Scales::none;
  const TensorInfo* const scales = fp8_scales(stem);
  if (scales == nullptr) return Fp8Scales::none;
  if (is_e8m0(scales->dtype)) {
    const bool columns =
        stem.block ? *stem.block == Shape{1, 32} : scales->shape == Shape{stem.weight[0], stem.weight[1] / 32};
    return columns ? Fp8Scales::columns_32 : Fp8Scales::block;
  }
  // A grid of one block is a scale of the tensor, unless the config speaks of blocks.
  const bool one = scales->shape.size() < 2 || (element_count(scales->shape) == 1u && !stem.block);
  return one ? Fp8Scales::tensor : Fp8Scales::block;
}

std::string_view fp8_scales_suffix(const StoredLinear& linear) {
  for (const std::string_view suffix : suffixes)
    if (linear.field(suffix) != nullptr) return suffix;
  fail(Fault::bug, "{}: has no scales", linear.module);
}

bool is_e8m0(Dtype dtype) { return dtype == Dtype::f8_e8m0 || dtype == Dtype::u8; }

std::vector<float> scale_values(const Field& field, std::span<const std::byte> bytes, std::string_view module) {
  std::vector<float> values(element_count(field.shape).value_or(0));
  if (!is_e8m0(field.dtype)) {
    widen(field.dtype, bytes, values);
    // The scale of a block of zeros may be zero, that of a whole matrix leaves nothing of it.
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]) || values[i] < 0 || (values[i] == 0 && values.size() == 1))
        fail(Fault::input, "{}.{}: is {} at {}, expected a finite number above 0; the file is broken", module,
             field.suffix, values[i], place(field.shape, i));
    return values;
  }
  if (bytes.size() != values.size())
    fail(Fault::bug, "{}.{}: {} bytes for {} scales", module, field.suffix, bytes.size(), values.size());
  const auto nan = std::ranges::find(bytes, std::byte{255});
  if (nan != bytes.end())
    fail(Fault::input, "{}.{}: is 255 (NaN) at {}; the file is broken", module, field.suffix,
         place(field.shape, static_cast<std::size_t>(nan - bytes.begin())));
  std::ranges::transform(bytes, values.begin(),
                         [](std::byte code) { return e8m0_value(std::to_integer<unsigned>(code)); });
  return values;
}

std::span<const std::byte> bytes_of(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes,
                                    std::string_view suffix) {
  const auto found = std::ranges::find(linear.fields, suffix, &Field::suffix);
  if (found == linear.fields.end()) fail(Fault::input, "{}: the tensor is missing", suffix);
  return bytes[static_cast<std::size_t>(found - linear.fields.begin())];
}

}  // namespace strata
