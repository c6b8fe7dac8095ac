#include "formats/weight/weights.h"

#include <tbb/parallel_reduce.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "formats/kernels/convert.h"
#include "formats/kernels/minifloat.h"
#include "formats/weight/row_blocks.h"

namespace strata {
namespace {

constexpr std::int64_t reduction_block = 65536;  // elements

// The largest value of bits(first, count) over blocks of [0, count). Maxima have no order, so neither has this.
template <typename Bits>
std::uint32_t largest_bits(std::int64_t count, const Bits& bits) {
  const std::int64_t blocks = (count + reduction_block - 1) / reduction_block;
  return tbb::parallel_reduce(
      tbb::blocked_range<std::int64_t>(0, blocks), 0u,
      [&](const tbb::blocked_range<std::int64_t>& range, std::uint32_t most) {
        for (std::int64_t b = range.begin(); b != range.end(); ++b)
          most = std::max(most, bits(b * reduction_block, std::min(reduction_block, count - b * reduction_block)));
        return most;
      },
      [](std::uint32_t a, std::uint32_t b) { return std::max(a, b); });
}

float element(const WeightView& weight, std::int64_t i) {
  if (weight.dtype == Dtype::f32) return static_cast<const float*>(weight.data)[i];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(weight.data)[i];
  return weight.dtype == Dtype::bf16 ? from_bf16_bits(bits) : from_f16_bits(bits);
}

[[noreturn]] void fail_not_finite(const WeightView& weight, std::string_view tensor) {
  std::int64_t i = 0;
  while (std::isfinite(element(weight, i))) ++i;
  fail(Fault::input, "{}: {} at row {}, column {}; only finite weights can be quantized", tensor,
       std::isnan(element(weight, i)) ? "NaN" : "infinity", i / weight.cols, i % weight.cols);
}

void widen_f64(std::span<const std::byte> bytes, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    double value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    out[i] = static_cast<float>(value);
  }
}

}  // namespace

namespace {

// The largest magnitude, infinity or NaN when there is one.
float raw_amax(const WeightView& weight) {
  const std::int64_t count = weight.rows * weight.cols;
  if (weight.dtype == Dtype::f32)
    return amax({static_cast<const float*>(weight.data), static_cast<std::size_t>(count)});
  const auto* const halves = static_cast<const std::uint16_t*>(weight.data);
  const auto most = static_cast<std::uint16_t>(largest_bits(
      count, [&](std::int64_t first, std::int64_t n) { return kernels::magnitude_bits_16(halves + first, n); }));
  return weight.dtype == Dtype::bf16 ? from_bf16_bits(most) : from_f16_bits(most);
}

}  // namespace

float finite_amax(const WeightView& weight, std::string_view tensor) {
  const float peak = raw_amax(weight);
  if (!std::isfinite(peak)) fail_not_finite(weight, tensor);
  return peak;
}

bool all_finite(const WeightView& weight) { return std::isfinite(raw_amax(weight)); }

float amax(std::span<const float> values) {
  const std::uint32_t most = largest_bits(
      static_cast<std::int64_t>(values.size()),
      [&](std::int64_t first, std::int64_t n) { return kernels::magnitude_bits_f32(values.data() + first, n); });
  return std::bit_cast<float>(most);
}

bool all_finite(Dtype dtype, std::span<const std::byte> bytes) {
  if (dtype != Dtype::f32 && dtype != Dtype::bf16 && dtype != Dtype::f16) return true;
  const auto count = static_cast<std::int64_t>(bytes.size() / dtype_bytes(dtype));
  return all_finite(WeightView{.data = bytes.data(), .dtype = dtype, .rows = 1, .cols = count});
}

void widen(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out) {
  if (bytes.size() != out.size() * dtype_bytes(dtype))
    fail(Fault::bug, "widening {} bytes of {} to {} values", bytes.size(), dtype_name(dtype), out.size());
  switch (dtype) {
    case Dtype::f64:
      return widen_f64(bytes, out);
    case Dtype::f32:
      if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
      return;
    case Dtype::bf16:
    case Dtype::f16:
      break;
    default:
      fail(Fault::input, "{} values cannot be read as dense weights (F64, F32, F16 and BF16 can)", dtype_name(dtype));
  }
  for_row_blocks(static_cast<std::int64_t>(out.size()), 1, [&](std::int64_t first, std::int64_t end) {
    // Copied, because a tensor may stand at an odd place of its file.
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(end - first));
    std::memcpy(halves.data(), bytes.data() + first * 2, halves.size() * 2);
    if (dtype == Dtype::bf16)
      kernels::widen_bf16(halves.data(), end - first, out.data() + first);
    else
      kernels::widen_f16(halves.data(), end - first, out.data() + first);
  });
}

void round_to_bf16(std::span<float> values) {
  for_row_blocks(static_cast<std::int64_t>(values.size()), 1, [&](std::int64_t first, std::int64_t end) {
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(end - first));
    kernels::narrow_bf16(values.data() + first, end - first, halves.data());
    kernels::widen_bf16(halves.data(), end - first, values.data() + first);
  });
}

void to_bf16(std::span<const float> values, std::span<std::byte> out) {
  if (out.size() != values.size() * 2)
    fail(Fault::bug, "narrowing {} values to {} bytes of BF16", values.size(), out.size());
  for_row_blocks(static_cast<std::int64_t>(values.size()), 1, [&](std::int64_t first, std::int64_t end) {
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(end - first));
    kernels::narrow_bf16(values.data() + first, end - first, halves.data());
    std::memcpy(out.data() + first * 2, halves.data(), halves.size() * 2);
  });
}

// Rows are summed one by one in eight fixed lanes, and the rows in order: neither threads nor the CPU's
// vector width change the sum.
EncodeError encode_error(const WeightView& weight, std::span<const float> decoded) {
  constexpr std::int64_t lanes = 8;
  std::vector<EncodeError> rows(static_cast<std::size_t>(weight.rows));
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    const float* const others = decoded.data() + row * weight.cols;
    double error[lanes] = {}, size[lanes] = {};
    const auto add = [&](std::int64_t i, std::int64_t lane) {
      const double w = static_cast<double>(values[i]), difference = w - static_cast<double>(others[i]);
      error[lane] += difference * difference;
      size[lane] += w * w;
    };
    std::int64_t i = 0;
    for (; i + lanes <= weight.cols; i += lanes)
      for (std::int64_t lane = 0; lane < lanes; ++lane) add(i + lane, lane);
    for (; i < weight.cols; ++i) add(i, i % lanes);
    EncodeError& sum = rows[static_cast<std::size_t>(row)];
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      sum.squared_error += error[lane];
      sum.squared_weight += size[lane];
    }
  });
  EncodeError total;
  for (const EncodeError& row : rows) {
    total.squared_error += row.squared_error;
    total.squared_weight += row.squared_weight;
  }
  return total;
}

}  // namespace strata
