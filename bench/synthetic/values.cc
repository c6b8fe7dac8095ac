#include "bench/synthetic/values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "formats/kernels/arithmetic.h"
#include "formats/kernels/convert.h"

namespace strata::synthetic {
namespace {

constexpr int cell_bits = 12, fraction_bits = 32 - cell_bits;
constexpr std::size_t cells = std::size_t{1} << cell_bits;

// splitmix64 (Steele, Lea, Flood 2014) of a counter.
std::uint64_t mix(std::uint64_t key, std::uint64_t counter) {
  std::uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Where the normal distribution reaches `share`, by bisection.
double normal_quantile(double share) {
  double low = -4.5, high = 4.5;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::numbers::sqrt2) < share ? low : high) = middle;
  }
  return (low + high) / 2;
}

void store(std::span<const float> values, Dtype dtype, std::span<std::byte> out) {
  if (dtype == Dtype::f32) {
    std::memcpy(out.data(), values.data(), values.size_bytes());
    return;
  }
  std::vector<std::uint16_t> halves(values.size());
  if (dtype == Dtype::bf16)
    kernels::narrow_bf16(values.data(), static_cast<std::int64_t>(values.size()), halves.data());
  else
    std::ranges::transform(values, halves.begin(), to_f16_bits);
  std::memcpy(out.data(), halves.data(), out.size());
}

}  // namespace

// Quantiles of the normal distribution: a random number chooses a cell and a place in it. Ten times as fast as
// logarithms and cosines, and good to 3.5 deviations, where the last cell begins.
struct Values::Table {
  std::array<float, cells + 1> quantile;

  float normal(std::uint32_t random) const {
    const std::size_t cell = random >> fraction_bits;
    const auto fraction = static_cast<float>(random & ((1u << fraction_bits) - 1)) * (1.0f / (1u << fraction_bits));
    return quantile[cell] + fraction * (quantile[cell + 1] - quantile[cell]);
  }

  void normals(std::uint64_t key, std::uint64_t first, std::span<float> out) const {
    for (std::size_t i = 0; i < out.size(); i += 2) {
      const std::uint64_t random = mix(key, (first + i) / 2);
      out[i] = normal(static_cast<std::uint32_t>(random));
      if (i + 1 < out.size()) out[i + 1] = normal(static_cast<std::uint32_t>(random >> 32));
    }
  }
};

Values::Values() {
  auto table = std::make_unique<Table>();
  for (std::size_t i = 0; i <= cells; ++i)
    table->quantile[i] = static_cast<float>(normal_quantile(static_cast<double>(i) / cells));
  table_ = std::move(table);
}

Values::~Values() = default;

void Values::fill(std::uint64_t tensor_key, const Spread& spread, std::uint64_t first, Dtype dtype,
                  std::span<std::byte> out) const {
  std::vector<float> values(out.size() / dtype_bytes(dtype));
  table_->normals(tensor_key, first, values);
  if (spread.cols == 0) {
    for (float& value : values) value = spread.center + 0.1f * value;
    store(values, dtype, out);
    return;
  }
  const auto cols = static_cast<std::uint64_t>(spread.cols);
  const std::uint64_t row_key = mix(tensor_key, ~std::uint64_t{0}), outlier_key = mix(tensor_key, ~std::uint64_t{1});
  const float deviation = 1.0f / std::sqrt(static_cast<float>(spread.cols));
  for (std::size_t at = 0; at < values.size();) {
    const std::uint64_t row = (first + at) / cols, left = cols - (first + at) % cols;
    const std::size_t end = std::min<std::size_t>(values.size(), at + left);
    const float factor = deviation * std::exp(0.3f * table_->normal(static_cast<std::uint32_t>(mix(row_key, row))));
    for (; at < end; ++at) values[at] *= factor;
  }
  // One position in every block of 4096, so that the others need not be looked at.
  constexpr std::uint64_t block = 4096;
  for (std::uint64_t b = first / block; b * block < first + values.size(); ++b) {
    const std::uint64_t position = b * block + mix(outlier_key, b) % block;
    if (position >= first && position < first + values.size()) values[position - first] *= 6;
  }
  store(values, dtype, out);
}

std::uint64_t tensor_key(std::uint64_t seed, std::string_view name) {
  std::uint64_t key = 0xcbf29ce484222325u;  // FNV-1a
  for (const char letter : name) key = (key ^ static_cast<unsigned char>(letter)) * 0x100000001b3u;
  return mix(key, seed);
}

std::int32_t skewed_id(std::uint64_t key, std::uint64_t counter, std::int32_t limit) {
  const double uniform = static_cast<double>(mix(key, counter) >> 11) * 0x1p-53;
  return static_cast<std::int32_t>(uniform * uniform * uniform * limit);
}

}  // namespace strata::synthetic
