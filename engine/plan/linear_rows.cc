#include "engine/plan/linear_rows.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace strata {
namespace {

// Blocks of FP8 have 128 rows, words of zero points 8: rows in these portions cut every field evenly.
constexpr std::int64_t portion = 128;
constexpr std::int64_t elements_at_once = 4 << 20;

bool is_shape_field(const Field& field) { return field.suffix == "weight_shape"; }

}  // namespace

LinearRows::LinearRows(const Checkpoint& checkpoint, StoredLinear linear)
    : checkpoint_(checkpoint), linear_(std::move(linear)) {
  bool even = linear_.storage == nullptr && rows() % portion == 0;
  for (const StoredPart& part : linear_.parts) {
    const TensorInfo& tensor = checkpoint.at(linear_.module + "." + part.field.suffix);
    if (!part.takes(tensor.shape))
      fail(Fault::input, "{}: has shape {}, expected {}", tensor.name, shape_text(tensor.shape),
           shape_text(part.field.shape));
  }
  for (const Field& field : linear_.fields)
    if (is_cut(field)) even = even && field.shape[0] * portion % rows() == 0;
  step_ = even ? portion : rows();
}

bool LinearRows::is_cut(const Field& field) const {
  return !is_shape_field(field) && !field.shape.empty() && element_count(field.shape).value_or(0) != 1;
}

std::vector<std::byte> LinearRows::bytes_of(const Field& field, std::int64_t first, std::int64_t count) const {
  const TensorInfo& tensor = checkpoint_.at(linear_.module + "." + field.suffix);
  if (is_shape_field(field) && tensor.bytes == 2 * sizeof(std::int64_t)) {
    const std::array<std::int64_t, 2> shape = {count, cols()};
    std::vector<std::byte> bytes(tensor.bytes);
    std::memcpy(bytes.data(), shape.data(), bytes.size());
    return bytes;
  }
  if (!is_cut(field) || count == rows()) {
    std::vector<std::byte> bytes(tensor.bytes);
    checkpoint_.read(tensor, bytes);
    return bytes;
  }
  const std::uint64_t one_portion = tensor.bytes / static_cast<std::uint64_t>(rows() / portion);
  std::vector<std::byte> bytes(one_portion * static_cast<std::uint64_t>(count / portion));
  checkpoint_.read(tensor, bytes, one_portion * static_cast<std::uint64_t>(first / portion));
  return bytes;
}

void LinearRows::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  StoredLinear piece = linear_;
  piece.weight[0] = count;
  std::vector<std::vector<std::byte>> bytes;
  for (Field& field : piece.fields) {
    bytes.push_back(bytes_of(field, first, count));
    if (is_cut(field)) field.shape[0] = field.shape[0] * count / rows();
  }
  const std::vector<std::span<const std::byte>> views(bytes.begin(), bytes.end());
  decode_stored(piece, views, out);
}

double LinearDistance::sqnr() const {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (squared_error == 0) return infinity;
  const double decibels = 10 * std::log10(squared_weight / squared_error);
  return std::isnan(decibels) ? -infinity : decibels;
}

double LinearDistance::relative() const { return squared_error == 0 ? 0 : std::sqrt(squared_error / squared_weight); }

namespace {

// Sums in a fixed order, whatever the number of threads.
LinearDistance distance_of_rows(std::span<const float> a, std::span<const float> b) {
  constexpr std::size_t block = 65536;
  std::vector<LinearDistance> parts((a.size() + block - 1) / block);
  tbb::parallel_for(std::size_t{0}, parts.size(), [&](std::size_t p) {
    LinearDistance sum;
    for (std::size_t i = p * block; i < std::min(a.size(), (p + 1) * block); ++i) {
      const double x = a[i], y = b[i];
      sum.squared_error += (x - y) * (x - y);
      sum.squared_weight += x * x;
      sum.product += x * y;
      sum.squared_other += y * y;
    }
    parts[p] = sum;
  });
  LinearDistance all;
  for (const LinearDistance& part : parts) {
    all.squared_error += part.squared_error;
    all.squared_weight += part.squared_weight;
    all.product += part.product;
    all.squared_other += part.squared_other;
  }
  return all;
}

}  // namespace

LinearDistance distance(const LinearRows& a, const LinearRows& b, Extent extent, const StopFlag* stop) {
  const std::int64_t step = std::max(a.step(), b.step());  // one divides the other
  const std::int64_t wanted =
      std::max<std::int64_t>(1, elements_at_once / std::max<std::int64_t>(1, a.cols())) / step * step;
  const std::int64_t at_once = std::min(a.rows(), std::max(step, extent == Extent::glance ? step : wanted));
  const std::int64_t end = extent == Extent::glance ? at_once : a.rows();
  std::vector<float> left, right;
  LinearDistance all;
  for (std::int64_t first = 0; first < end; first += at_once) {
    check_interrupt(stop);
    const std::int64_t count = std::min(at_once, a.rows() - first);
    left.resize(static_cast<std::size_t>(count * a.cols()));
    right.resize(left.size());
    a.read(first, count, left);
    b.read(first, count, right);
    const LinearDistance part = distance_of_rows(left, right);
    all.squared_error += part.squared_error;
    all.squared_weight += part.squared_weight;
    all.product += part.product;
    all.squared_other += part.squared_other;
  }
  return all;
}

}  // namespace strata
