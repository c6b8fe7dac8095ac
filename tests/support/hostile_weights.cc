#include "tests/support/hostile_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace strata::test {
namespace {

struct Limits {
  float largest, smallest_normal;
};

Limits limits_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f16:
      return {65504.0f, 0x1p-14f};
    case Dtype::bf16:
      return {0x1.fep127f, 0x1p-126f};
    default:
      return {0x1.fffffep127f, 0x1p-126f};
  }
}

// Rounds toward zero, so that nothing leaves the range.
std::uint16_t half_bits(float value) {
  const float size = std::abs(value);
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (size < 0x1p-24f) return sign;
  if (size < 0x1p-14f) return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(size * 0x1p24f));
  const int exponent = std::min(std::ilogb(size), 15);
  const float mantissa = std::min(std::ldexp(size, -exponent), 0x1.ffcp0f);
  return static_cast<std::uint16_t>(sign | ((exponent + 15) << 10) | static_cast<std::uint16_t>((mantissa - 1) * 1024));
}

std::uint16_t bfloat_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

void store(StoredTensor& tensor, const std::vector<float>& values) {
  tensor.bytes.resize(values.size() * dtype_bytes(tensor.dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (tensor.dtype == Dtype::f32) {
      std::memcpy(tensor.bytes.data() + 4 * i, &values[i], 4);
      continue;
    }
    const std::uint16_t bits = tensor.dtype == Dtype::f16 ? half_bits(values[i]) : bfloat_bits(values[i]);
    std::memcpy(tensor.bytes.data() + 2 * i, &bits, 2);
  }
}

}  // namespace

bool is_moderate(std::string_view kind) {
  static constexpr auto wild =
      std::to_array<std::string_view>({"rows of all sizes", "tiny", "subnormal", "large", "at the limit"});
  return std::ranges::find(wild, kind) == wild.end();
}

StoredTensor hostile_tensor(std::string name, Shape shape, Dtype dtype, std::string_view kind, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.05f);
  std::uniform_real_distribution<float> part(0.5f, 1.0f);
  const auto [largest, smallest] = limits_of(dtype);
  const auto sign = [&] { return random() % 2 == 0 ? 1.0f : -1.0f; };
  const std::int64_t cols = shape.back(), count = static_cast<std::int64_t>(element_count(shape).value());
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = i / cols;
    float value = normal(random);
    if (kind == "zeros") value = 0;
    if (kind == "zero rows" && row % 3 != 1) value = row % 3 == 0 ? 0.0f : -0.0f;
    if (kind == "constant") value = 0.0371f;
    if (kind == "alternating") value = i % 2 == 0 ? 0.25f : -0.25f;
    if (kind == "rows of all sizes")
      value =
          std::ldexp(value, dtype == Dtype::f16 ? static_cast<int>(row % 25) - 12 : static_cast<int>(row % 201) - 100);
    if (kind == "tiny") value *= smallest * 256;
    if (kind == "subnormal") value = sign() * smallest * part(random) * (row % 2 == 0 ? 1.0f : 0x1p-6f);
    if (kind == "large") value = sign() * largest * part(random);
    if (kind == "at the limit") value = i % 7 == 0 ? sign() * largest : value;
    values[static_cast<std::size_t>(i)] = value;
  }
  if (kind == "one outlier") values[values.size() / 3] = -40.0f;
  StoredTensor tensor{.name = std::move(name), .dtype = dtype, .shape = std::move(shape)};
  store(tensor, values);
  return tensor;
}

}  // namespace strata::test
