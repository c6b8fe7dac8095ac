// Native storages decoded slowly and obviously, one element at a time. Shares no code with formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::test {

double naive_e8m0_value(std::uint8_t code);  // NaN for 255

// codes [rows, cols] of E4M3 with a scale for every `block_rows` x `block_cols`, the last ones cut off.
std::vector<float> naive_fp8_blocks(std::span<const std::uint8_t> codes, std::int64_t rows, std::int64_t cols,
                                    std::int64_t block_rows, std::int64_t block_cols, std::span<const float> scales);

// Two E2M1 codes a byte, low half first, with a scale for every `group` columns.
std::vector<float> naive_fp4_groups(std::span<const std::uint8_t> packed, std::int64_t rows, std::int64_t cols,
                                    std::int64_t group, std::span<const float> scales);

}  // namespace strata::test
