#include "formats/tensor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace strata {
namespace {

struct DtypeFacts {
  std::string_view name;
  int bits;
};

// In the order of Dtype.
constexpr auto dtypes = std::to_array<DtypeFacts>({
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
});
static_assert(dtypes.size() == static_cast<std::size_t>(Dtype::u64) + 1);

const DtypeFacts& facts(Dtype dtype) { return dtypes.at(static_cast<std::size_t>(dtype)); }

}  // namespace

std::string_view dtype_name(Dtype dtype) { return facts(dtype).name; }

std::optional<Dtype> parse_dtype(std::string_view name) {
  const auto found = std::ranges::find(dtypes, name, &DtypeFacts::name);
  if (found == dtypes.end()) return std::nullopt;
  return static_cast<Dtype>(found - dtypes.begin());
}

int dtype_bits(Dtype dtype) { return facts(dtype).bits; }

std::optional<std::uint64_t> element_count(const Shape& shape) {
  std::optional<std::uint64_t> count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) return std::nullopt;
    count = checked_mul(*count, static_cast<std::uint64_t>(size));
    if (!count) return std::nullopt;
  }
  return count;
}

std::optional<std::uint64_t> tensor_bytes(Dtype dtype, const Shape& shape) {
  const std::optional<std::uint64_t> count = element_count(shape);
  if (!count) return std::nullopt;
  const std::optional<std::uint64_t> bits = checked_mul(*count, static_cast<std::uint64_t>(dtype_bits(dtype)));
  if (!bits || *bits % 8 != 0) return std::nullopt;
  return *bits / 8;
}

std::string shape_text(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace strata
