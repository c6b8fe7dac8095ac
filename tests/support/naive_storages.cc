#include "tests/support/naive_storages.h"

#include <cmath>
#include <limits>

#include "tests/support/naive_formats.h"

namespace strata::test {

double naive_e8m0_value(std::uint8_t code) {
  return code == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, code - 127);
}

std::vector<float> naive_fp8_blocks(std::span<const std::uint8_t> codes, std::int64_t rows, std::int64_t cols,
                                    std::int64_t block_rows, std::int64_t block_cols, std::span<const float> scales) {
  const std::int64_t across =
      static_cast<std::int64_t>(std::ceil(static_cast<double>(cols) / static_cast<double>(block_cols)));
  std::vector<float> values;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c) {
      const double scale =
          static_cast<double>(scales[static_cast<std::size_t>(r / block_rows * across + c / block_cols)]);
      const double code = static_cast<double>(naive_e4m3_value(codes[static_cast<std::size_t>(r * cols + c)]));
      values.push_back(static_cast<float>(code * scale));  // exact in double: rounded once
    }
  return values;
}

std::vector<float> naive_fp4_groups(std::span<const std::uint8_t> packed, std::int64_t rows, std::int64_t cols,
                                    std::int64_t group, std::span<const float> scales) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    const std::uint8_t byte = packed[static_cast<std::size_t>(i / 2)];
    const auto code = static_cast<std::uint8_t>(i % 2 == 0 ? byte % 16 : byte / 16);
    const double scale = static_cast<double>(scales[static_cast<std::size_t>(i / group)]);
    values.push_back(static_cast<float>(static_cast<double>(naive_e2m1_value(code)) * scale));
  }
  return values;
}

}  // namespace strata::test
