// How every encoder, decoder and reduction of this layer is parallel: blocks of whole rows, small enough
// for a core's cache, whose results do not depend on each other.
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/kernels/convert.h"
#include "formats/number_format.h"

namespace strata {

// About 16384 elements.
inline std::int64_t rows_per_block(std::int64_t cols) {
  return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, cols));
}

// Calls body(first_row, end_row) for blocks of rows that cover [0, rows).
template <typename Body>
void for_row_blocks(std::int64_t rows, std::int64_t cols, const Body& body) {
  const std::int64_t block = rows_per_block(cols), blocks = (rows + block - 1) / block;
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, blocks), [&](const tbb::blocked_range<std::int64_t>& range) {
    for (std::int64_t b = range.begin(); b != range.end(); ++b) body(b * block, std::min(rows, (b + 1) * block));
  });
}

// Elements [first, first + count) of a weight as float32: the weight itself, or widened into `scratch`.
inline const float* widened(const WeightView& weight, std::int64_t first, std::int64_t count,
                            std::vector<float>& scratch) {
  if (weight.dtype == Dtype::f32) return static_cast<const float*>(weight.data) + first;
  scratch.resize(static_cast<std::size_t>(count));
  const auto* const halves = static_cast<const std::uint16_t*>(weight.data) + first;
  if (weight.dtype == Dtype::bf16)
    kernels::widen_bf16(halves, count, scratch.data());
  else
    kernels::widen_f16(halves, count, scratch.data());
  return scratch.data();
}

// Calls body(row, values of the row) for every row, in parallel.
template <typename Body>
void for_each_row(const WeightView& weight, const Body& body) {
  const std::int64_t block = rows_per_block(weight.cols), blocks = (weight.rows + block - 1) / block;
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, blocks), [&](const tbb::blocked_range<std::int64_t>& range) {
    std::vector<float> scratch;  // of all blocks of the range: a new one would be filled with zeros
    for (std::int64_t b = range.begin(); b != range.end(); ++b) {
      const std::int64_t first = b * block, end = std::min(weight.rows, first + block);
      const float* const values = widened(weight, first * weight.cols, (end - first) * weight.cols, scratch);
      for (std::int64_t row = first; row != end; ++row) body(row, values + (row - first) * weight.cols);
    }
  });
}

}  // namespace strata
