#include "formats/weight/int_weight.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "formats/kernels/convert.h"
#include "formats/kernels/int4.h"
#include "formats/kernels/int8.h"
#include "formats/kernels/int_search.h"
#include "formats/weight/plain_scales.h"
#include "formats/weight/row_blocks.h"
#include "formats/weight/stored_fields.h"

namespace strata {
namespace {

using kernels::IntScale;

std::int64_t group_of(const IntLayout& layout, std::int64_t cols) { return layout.group > 0 ? layout.group : cols; }

// Bytes of one row of codes; rows of packed words end at a word.
std::int64_t row_bytes(const IntLayout& layout, std::int64_t cols) {
  return layout.packed ? (cols * layout.bits + 31) / 32 * 4 : cols;
}

kernels::Int8Bytes int8_bytes(const IntLayout& layout) {
  return layout.packed ? kernels::Int8Bytes::offset : kernels::Int8Bytes::complement;
}

// Chooses the scales (and zero points) of one row of groups.
class ScaleChoice {
 public:
  ScaleChoice(const IntLayout& layout, const WeightView& weight, const EncodeContext& context)
      : layout_(layout),
        dtype_(weight.dtype),
        rule_(context.rule),
        group_(group_of(layout, weight.cols)),
        groups_(weight.cols / group_),
        column_weight_(context.column_weight) {}

  void choose(const float* row, float* scales, float* zeros) const {
    if (layout_.zero_point)
      between_extremes(row, scales, zeros);
    else
      from_magnitude(row, scales);
    if (rule_ != ScaleRule::search) return;
    for (std::int64_t g = 0; g < groups_; ++g) {
      const float* const x = row + g * group_;
      const float* const w = column_weight_.empty() ? nullptr : column_weight_.data() + g * group_;
      const IntScale plain{scales[g], layout_.zero_point ? zeros[g] : 0};
      const IntScale best = layout_.zero_point ? kernels::search_int4_zero(x, w, group_, plain)
                                               : kernels::search_int(x, w, group_, layout_.bits, plain);
      scales[g] = best.scale;
      if (layout_.zero_point) zeros[g] = best.zero;
    }
  }

 private:
  void from_magnitude(const float* row, float* scales) const {
    kernels::group_amax(row, groups_, group_, scales);
    const float half_range = layout_.bits == 4 ? 7.5f : 127.5f;
    for (std::int64_t g = 0; g < groups_; ++g) scales[g] = storable_scale(scales[g] / half_range, dtype_, rule_);
  }

  // Every step in the arithmetic of the rule; by our own rules the zero point belongs to the stored scale.
  void between_extremes(const float* row, float* scales, float* zeros) const {
    const Arithmetic arithmetic = arithmetic_of(dtype_, rule_);
    kernels::group_extremes(row, groups_, group_, scales, zeros);
    for (std::int64_t g = 0; g < groups_; ++g) {
      const float least = scales[g], most = zeros[g];
      const float range = rounded(most - least, arithmetic);
      const float scale = rounded(range / 15.0f, arithmetic);
      scales[g] = storable_scale(scale, dtype_, rule_);
      const float divisor = rule_ == ScaleRule::compressed_tensors ? scale : scales[g];
      const float zero = rounded(-8.0f - rounded(least / divisor, arithmetic), arithmetic);
      // A group of zeros is 0 / 0 there; what it becomes as an integer is 0.
      zeros[g] = std::isnan(zero) ? 0.0f : std::nearbyint(std::clamp(zero, -8.0f, 7.0f));
    }
  }

  IntLayout layout_;
  Dtype dtype_;
  ScaleRule rule_;
  std::int64_t group_, groups_;
  std::span<const float> column_weight_;
};

// Zero points [rows, groups] as 4 bits + 8, eight rows in a word.
void pack_zero_points(const std::vector<float>& zeros, std::int64_t rows, std::int64_t groups, std::byte* out) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(groups));
  for (std::int64_t first = 0; first < rows; first += 8) {
    std::fill(words.begin(), words.end(), 0u);
    for (std::int64_t row = first; row < std::min(rows, first + 8); ++row)
      for (std::size_t g = 0; g < words.size(); ++g) {
        const float zero = zeros[static_cast<std::size_t>(row * groups) + g];
        words[g] |= static_cast<std::uint32_t>(zero + 8) << 4 * (row - first);
      }
    std::memcpy(out + first / 8 * groups * 4, words.data(), words.size() * 4);
  }
}

std::vector<float> unpack_zero_points(std::span<const std::byte> packed, std::int64_t rows, std::int64_t groups) {
  std::vector<float> zeros(static_cast<std::size_t>(rows * groups));
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t g = 0; g < groups; ++g) {
      std::uint32_t word = 0;
      std::memcpy(&word, packed.data() + (row / 8 * groups + g) * 4, sizeof word);
      zeros[static_cast<std::size_t>(row * groups + g)] = static_cast<float>(word >> 4 * (row % 8) & 15u) - 8.0f;
    }
  return zeros;
}

// Codes of rows that follow each other, with their scales.
struct RowCodes {
  const float* values;
  std::int64_t rows, cols, group;
  const float* scales;
  const float* zeros;  // nullptr: none
};

void encode_rows(const IntLayout& layout, const RowCodes& block, Arithmetic arithmetic, std::uint8_t* out) {
  if (layout.bits == 4) {
    kernels::int4_encode(block.values, block.rows * block.cols, block.group, block.scales, out, block.zeros,
                         arithmetic);
    return;
  }
  const std::int64_t stride = row_bytes(layout, block.cols), groups = block.cols / block.group;
  for (std::int64_t row = 0; row < block.rows; ++row) {
    std::fill(out + row * stride + block.cols, out + (row + 1) * stride, std::uint8_t{0});
    for (std::int64_t g = 0; g < groups; ++g)
      kernels::int8_encode(block.values + row * block.cols + g * block.group, block.group,
                           block.scales[row * groups + g], int8_bytes(layout), arithmetic,
                           out + row * stride + g * block.group);
  }
}

}  // namespace

std::vector<Field> int_fields(const IntLayout& layout, const Shape& weight, Dtype source, ScaleRule rule) {
  const std::int64_t rows = weight[0], groups = weight[1] / group_of(layout, weight[1]);
  const Field scale{"weight_scale", plain_scale_dtype(source, rule), {rows, groups}};
  if (!layout.packed) return {{"weight", Dtype::i8, weight}, scale};
  std::vector<Field> all = {{"weight_packed", Dtype::i32, {rows, row_bytes(layout, weight[1]) / 4}},
                            scale,
                            {"weight_shape", Dtype::i64, {2}}};
  if (layout.zero_point) all.push_back({"weight_zero_point", Dtype::i32, {(rows + 7) / 8, groups}});
  return all;
}

std::optional<std::string> int_refusal(const IntLayout& layout, const Shape& weight) {
  return group_refusal(weight, layout.group > 0 ? layout.group : 1);
}

void int_encode(const IntLayout& layout, const WeightView& weight, const EncodeContext& context,
                std::span<const std::span<std::byte>> out) {
  const std::int64_t rows = weight.rows, cols = weight.cols;
  const std::int64_t group = group_of(layout, cols), groups = cols / group, stride = row_bytes(layout, cols);
  const Dtype scale_dtype = plain_scale_dtype(weight.dtype, context.rule);
  const auto scale_bytes = static_cast<std::int64_t>(dtype_bytes(scale_dtype));
  const Arithmetic arithmetic = arithmetic_of(weight.dtype, context.rule);
  const ScaleChoice choice(layout, weight, context);
  std::vector<float> zeros(layout.zero_point ? static_cast<std::size_t>(rows * groups) : 0);
  auto* const codes = reinterpret_cast<std::uint8_t*>(out[0].data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    std::vector<float> scratch, scales(static_cast<std::size_t>((end - first) * groups));
    const float* const values = widened(weight, first * cols, (end - first) * cols, scratch);
    float* const block_zeros = layout.zero_point ? zeros.data() + first * groups : nullptr;
    for (std::int64_t row = 0; row < end - first; ++row)
      choice.choose(values + row * cols, scales.data() + row * groups,
                    block_zeros == nullptr ? nullptr : block_zeros + row * groups);
    store_scales(scales, scale_dtype, out[1].data() + first * groups * scale_bytes);
    encode_rows(layout, {values, end - first, cols, group, scales.data(), block_zeros}, arithmetic,
                codes + first * stride);
  });
  if (!layout.packed) return;
  const std::int64_t shape[2] = {rows, cols};
  std::memcpy(out[2].data(), shape, sizeof shape);
  if (layout.zero_point) pack_zero_points(zeros, rows, groups, out[3].data());
}

void int_decode(const IntLayout& layout, std::span<const Field> stored,
                std::span<const std::span<const std::byte>> bytes, const Shape& weight, std::span<float> out) {
  const StoredFields all(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1];
  const std::int64_t group = group_of(layout, cols), groups = cols / group, stride = row_bytes(layout, cols);
  const auto raw = layout.packed ? all.raw("weight_packed", Dtype::i32, rows * stride / 4)
                                 : all.raw("weight", Dtype::i8, rows * cols);
  const std::vector<float> scales = all.floats("weight_scale", rows * groups);
  std::vector<float> zeros;
  if (layout.zero_point)
    zeros = unpack_zero_points(all.raw("weight_zero_point", Dtype::i32, (rows + 7) / 8 * groups), rows, groups);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(raw.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    const float* const scale = scales.data() + first * groups;
    if (layout.bits == 4) {
      kernels::int4_decode(codes + first * stride, scale, (end - first) * cols, group, out.data() + first * cols,
                           zeros.empty() ? nullptr : zeros.data() + first * groups);
      return;
    }
    for (std::int64_t g = 0; g < (end - first) * groups; ++g)
      kernels::int8_decode(codes + (first + g / groups) * stride + g % groups * group, group, scale[g],
                           int8_bytes(layout), out.data() + first * cols + g * group);
  });
}

}  // namespace strata
