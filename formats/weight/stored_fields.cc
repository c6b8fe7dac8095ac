#include "formats/weight/stored_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/kernels/minifloat.h"
#include "formats/weight/weights.h"

namespace strata {

std::size_t StoredFields::index_of(std::string_view suffix) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(), [&](const Field& f) { return f.suffix == suffix; });
  if (found == fields_.end()) fail(Fault::input, "{}: the tensor is missing", suffix);
  const auto i = static_cast<std::size_t>(found - fields_.begin());
  const auto expected = tensor_bytes(found->dtype, found->shape);
  if (!expected || *expected != bytes_[i].size())
    fail(Fault::input, "{}: {} bytes do not make {} {}", suffix, bytes_[i].size(), dtype_name(found->dtype),
         shape_text(found->shape));
  return i;
}

std::span<const std::byte> StoredFields::raw(std::string_view suffix, Dtype dtype, std::int64_t elements) const {
  const std::size_t i = index_of(suffix);
  if (fields_[i].dtype != dtype || element_count(fields_[i].shape) != static_cast<std::uint64_t>(elements))
    fail(Fault::input, "{}: is {} {}, expected {} elements of {}", suffix, dtype_name(fields_[i].dtype),
         shape_text(fields_[i].shape), elements, dtype_name(dtype));
  return bytes_[i];
}

std::vector<float> StoredFields::floats(std::string_view suffix, std::int64_t elements,
                                        std::int64_t or_elements) const {
  const std::size_t i = index_of(suffix);
  const auto count = element_count(fields_[i].shape);
  if (count != static_cast<std::uint64_t>(elements) && count != static_cast<std::uint64_t>(or_elements))
    fail(Fault::input, "{}: has shape {}, expected {} elements", suffix, shape_text(fields_[i].shape), elements);
  std::vector<float> values(*count);
  if (fields_[i].dtype == Dtype::f8_e4m3)
    std::transform(bytes_[i].begin(), bytes_[i].end(), values.begin(),
                   [](std::byte code) { return decode_e4m3(static_cast<std::uint8_t>(code)); });
  else
    widen(fields_[i].dtype, bytes_[i], values);
  return values;
}

void StoredFields::read_floats(std::string_view suffix, std::span<float> out) const {
  const std::size_t i = index_of(suffix);
  if (element_count(fields_[i].shape) != out.size())
    fail(Fault::input, "{}: has shape {}, expected {} elements", suffix, shape_text(fields_[i].shape), out.size());
  widen(fields_[i].dtype, bytes_[i], out);
}

float StoredFields::positive_scalar(std::string_view suffix) const {
  const float value = floats(suffix, 1).front();
  if (!std::isfinite(value) || value <= 0)
    fail(Fault::input, "{}: is {}, expected a finite number above 0", suffix, value);
  return value;
}

std::optional<std::string> group_refusal(const Shape& weight, std::int64_t group) {
  if (weight.size() != 2) return fmt::format("shape {} is not a matrix", shape_text(weight));
  if (weight[0] < 1 || weight[1] < 1) return fmt::format("shape {} is empty", shape_text(weight));
  if (weight[1] % group != 0) return fmt::format("{} columns do not divide by {}", weight[1], group);
  return std::nullopt;
}

}  // namespace strata
