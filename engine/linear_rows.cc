#include "engine/linear_rows.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "formats/weights.h"

namespace strata {
namespace {

// Blocks of FP8 have 128 rows, words of zero points 8: rows in these portions cut every field evenly.
constexpr std::int64_t portion = 128;
constexpr std::int64_t elements_at_once = 4 << 20;

bool is_shape_field(const Field& field) { return field.suffix == "weight_shape"; }

}  // namespace

LinearRows::LinearRows(const Checkpoint& checkpoint, const LinearSpec& linear, const NumberFormat* format)
    : checkpoint_(checkpoint), format_(format), shape_{linear.out, linear.in} {
  std::vector<Field> fields = {{"weight", Dtype::bf16, shape_}};
  if (format != nullptr) fields = format->fields(shape_, Dtype::bf16, ScaleRule::minmax);
  bool even = rows() % portion == 0;
  for (const Field& field : fields) {
    const TensorInfo& tensor = checkpoint.at(linear.module + "." + field.suffix);
    if (format == nullptr && tensor.shape != shape_)
      fail(Fault::input, "{}: has shape {}, expected {}", tensor.name, shape_text(tensor.shape), shape_text(shape_));
    Part part{&tensor, {field.suffix, tensor.dtype, tensor.shape}};
    part.cut = !is_shape_field(field) && element_count(tensor.shape).value_or(0) != 1 && !tensor.shape.empty();
    if (part.cut) even = even && tensor.shape[0] * portion % rows() == 0;
    parts_.push_back(std::move(part));
  }
  step_ = even ? portion : rows();
}

Field LinearRows::field_of(const Part& part, std::int64_t count) const {
  Field field = part.field;
  if (part.cut) field.shape[0] = field.shape[0] * count / rows();
  return field;
}

std::vector<std::byte> LinearRows::bytes_of(const Part& part, std::int64_t first, std::int64_t count) const {
  const std::uint64_t whole = part.tensor->bytes;
  if (is_shape_field(part.field) && whole == 2 * sizeof(std::int64_t)) {
    const std::array<std::int64_t, 2> shape = {count, cols()};
    std::vector<std::byte> bytes(whole);
    std::memcpy(bytes.data(), shape.data(), whole);
    return bytes;
  }
  if (!part.cut || count == rows()) {
    std::vector<std::byte> bytes(whole);
    checkpoint_.read(*part.tensor, bytes);
    return bytes;
  }
  const std::uint64_t one_portion = whole / static_cast<std::uint64_t>(rows() / portion);
  std::vector<std::byte> bytes(one_portion * static_cast<std::uint64_t>(count / portion));
  checkpoint_.read(*part.tensor, bytes, one_portion * static_cast<std::uint64_t>(first / portion));
  return bytes;
}

void LinearRows::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  std::vector<Field> fields;
  std::vector<std::vector<std::byte>> bytes;
  for (const Part& part : parts_) {
    fields.push_back(field_of(part, count));
    bytes.push_back(bytes_of(part, first, count));
  }
  if (format_ == nullptr) {
    widen(fields[0].dtype, bytes[0], out);
    return;
  }
  const std::vector<std::span<const std::byte>> views(bytes.begin(), bytes.end());
  format_->decode(fields, views, {count, cols()}, out);
}

double LinearDistance::sqnr() const {
  if (squared_error == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(squared_weight / squared_error);
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
