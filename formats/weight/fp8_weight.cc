#include "formats/weight/fp8_weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "formats/kernels/convert.h"
#include "formats/kernels/fp8.h"
#include "formats/kernels/minifloat.h"
#include "formats/weight/fp8_scale.h"
#include "formats/weight/plain_scales.h"
#include "formats/weight/row_blocks.h"
#include "formats/weight/stored_fields.h"

namespace strata {
namespace {

Shape scale_shape(Fp8Scale scale, const Shape& weight) {
  if (scale == Fp8Scale::tensor) return {1};
  if (scale == Fp8Scale::channel) return {weight[0], 1};
  return {weight[0] / fp8_block, weight[1] / fp8_block};
}

std::vector<Field> fields_with(const Fp8Layout& layout, const Shape& weight, Dtype scale) {
  std::vector<Field> all = {{"weight", Dtype::f8_e4m3, weight},
                            {"weight_scale", scale, scale_shape(layout.scale, weight)}};
  if (layout.input_scale) all.push_back({"input_scale", scale, {1}});
  return all;
}

// Codes of one row, whose scales each hold for `width` columns.
void encode_row(const WeightView& weight, ScaleRule rule, const float* values, const float* scales, std::int64_t width,
                std::uint8_t* codes) {
  for (std::int64_t i = 0; i < weight.cols; i += width) {
    const float scale = scales[i / width];
    if (rule == ScaleRule::compressed_tensors)
      kernels::fp8_encode_in(arithmetic_of(weight.dtype, rule), values + i, width, scale, codes + i);
    else
      kernels::fp8_encode(values + i, width, scale, codes + i);
  }
}

void encode_tensor(const WeightView& weight, const EncodeContext& context, std::span<const std::span<std::byte>> out) {
  const float scale = context.shared_scale;
  if (!(scale > 0)) fail(Fault::bug, "encoding FP8: the shared scale is {}, expected a number above 0", scale);
  store_scales({&scale, 1}, plain_scale_dtype(weight.dtype, context.rule), out[1].data());
  auto* const codes = reinterpret_cast<std::uint8_t*>(out[0].data());
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    encode_row(weight, context.rule, values, &scale, weight.cols, codes + row * weight.cols);
  });
}

void encode_channels(const WeightView& weight, const EncodeContext& context,
                     std::span<const std::span<std::byte>> out) {
  auto* const codes = reinterpret_cast<std::uint8_t*>(out[0].data());
  std::vector<float> scales(static_cast<std::size_t>(weight.rows));
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    const auto amax = std::bit_cast<float>(kernels::magnitude_bits_f32(values, weight.cols));
    float& scale = scales[static_cast<std::size_t>(row)];
    scale = storable_scale(amax / e4m3_max, weight.dtype, context.rule);
    if (context.rule == ScaleRule::search)
      scale = searched_fp8_scale({values, 1, weight.cols, weight.cols}, context, scale);
    encode_row(weight, context.rule, values, &scale, weight.cols, codes + row * weight.cols);
  });
  store_scales(scales, plain_scale_dtype(weight.dtype, context.rule), out[1].data());
}

// A row of blocks is 128 rows of the weight: parallel over those.
void encode_blocks(const WeightView& weight, const EncodeContext& context, std::span<const std::span<std::byte>> out) {
  const std::int64_t across = weight.cols / fp8_block;
  const Dtype dtype = plain_scale_dtype(weight.dtype, context.rule);
  auto* const codes = reinterpret_cast<std::uint8_t*>(out[0].data());
  for_row_blocks(weight.rows / fp8_block, fp8_block * weight.cols, [&](std::int64_t first, std::int64_t end) {
    std::vector<float> scratch, amax(static_cast<std::size_t>(across)), scales(amax.size());
    for (std::int64_t block = first; block != end; ++block) {
      const std::int64_t row = block * fp8_block;
      const float* const values = widened(weight, row * weight.cols, fp8_block * weight.cols, scratch);
      std::fill(scales.begin(), scales.end(), 0.0f);
      for (std::int64_t i = 0; i < fp8_block; ++i) {
        kernels::group_amax(values + i * weight.cols, across, fp8_block, amax.data());
        for (std::size_t b = 0; b < amax.size(); ++b) scales[b] = std::max(scales[b], amax[b]);
      }
      for (std::size_t b = 0; b < scales.size(); ++b) {
        scales[b] = storable_scale(scales[b] / e4m3_max, weight.dtype, context.rule);
        if (context.rule != ScaleRule::search) continue;
        EncodeContext part = context;
        if (!part.column_weight.empty()) part.column_weight = part.column_weight.subspan(b * fp8_block, fp8_block);
        scales[b] = searched_fp8_scale({values + b * fp8_block, fp8_block, fp8_block, weight.cols}, part, scales[b]);
      }
      store_scales(scales, dtype, out[1].data() + block * across * static_cast<std::int64_t>(dtype_bytes(dtype)));
      for (std::int64_t i = 0; i < fp8_block; ++i)
        encode_row(weight, context.rule, values + i * weight.cols, scales.data(), fp8_block,
                   codes + (row + i) * weight.cols);
    }
  });
}

void quantize_tokens(std::span<float> x, std::int64_t rows, std::int64_t cols, float least_scale) {
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row != end; ++row)
      kernels::fp8_fake_quantize(x.data() + row * cols, cols, least_scale);
  });
}

}  // namespace

std::vector<Field> fp8_fields(const Fp8Layout& layout, const Shape& weight, Dtype source, ScaleRule rule) {
  return fields_with(layout, weight, plain_scale_dtype(source, rule));
}

std::vector<Field> fp8_source_fields(const Fp8Layout& layout, const Shape& weight) {
  return fields_with(layout, weight, Dtype::f32);
}

std::optional<std::string> fp8_refusal(const Fp8Layout& layout, const Shape& weight) {
  if (layout.scale != Fp8Scale::block) return group_refusal(weight, 1);
  if (auto reason = group_refusal(weight, fp8_block)) return reason;
  if (weight[0] % fp8_block != 0) return fmt::format("{} rows do not divide by {}", weight[0], fp8_block);
  // Loaders take a single column of scales for one scale a row.
  if (weight[1] == fp8_block) return fmt::format("{} columns are a single block, blocks need two", weight[1]);
  return std::nullopt;
}

void fp8_encode(const Fp8Layout& layout, const WeightView& weight, const EncodeContext& context,
                std::span<const std::span<std::byte>> out) {
  if (layout.scale == Fp8Scale::tensor) encode_tensor(weight, context, out);
  if (layout.scale == Fp8Scale::channel) encode_channels(weight, context, out);
  if (layout.scale == Fp8Scale::block) encode_blocks(weight, context, out);
  if (!layout.input_scale) return;
  fp8_encode_input_scale(context.input_amax, weight.dtype, context.rule, out[2]);
}

void fp8_encode_input_scale(float input_amax, Dtype weight, ScaleRule rule, std::span<std::byte> out) {
  const float scale = storable_scale(rounded(input_amax, arithmetic_of(weight, rule)) / e4m3_max, weight, rule);
  if (!std::isfinite(scale))
    fail(Fault::input, "the scale of inputs up to {:.3g} is beyond {}", input_amax,
         dtype_name(plain_scale_dtype(weight, rule)));
  store_scales({&scale, 1}, plain_scale_dtype(weight, rule), out.data());
}

void fp8_encode_source(const WeightView& /*weight*/, const EncodeContext& /*context*/,
                       std::span<const std::span<std::byte>> /*out*/) {
  fail(Fault::bug, "encoding a format of FP8 sources: its codes are copied, never made");
}

// One scale for all rows is read too: other tools write it for tensors that were scaled as a whole.
void fp8_decode(const Fp8Layout& layout, std::span<const Field> stored,
                std::span<const std::span<const std::byte>> bytes, const Shape& weight, std::span<float> out) {
  const StoredFields all(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1], across = cols / fp8_block;
  const auto codes = all.raw("weight", Dtype::f8_e4m3, rows * cols);
  const bool blocks = layout.scale == Fp8Scale::block, channels = layout.scale == Fp8Scale::channel;
  const std::int64_t count = blocks ? rows / fp8_block * across : channels ? rows : 1;
  const std::vector<float> scales = all.floats("weight_scale", count, blocks ? count : 1);
  const std::int64_t width = blocks ? fp8_block : cols;
  const auto* const from = reinterpret_cast<const std::uint8_t*>(codes.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row != end; ++row) {
      const std::int64_t at = blocks ? row / fp8_block * across : scales.size() == 1 ? 0 : row;
      for (std::int64_t i = 0; i < cols; i += width)
        kernels::fp8_decode(from + row * cols + i, scales[static_cast<std::size_t>(at + i / width)], width,
                            out.data() + row * cols + i);
    }
  });
}

void fp8_quantize_tokens(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  quantize_tokens(x, rows, cols, 0);
}

void fp8_quantize_tokens_vllm(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  quantize_tokens(x, rows, cols, 1.0f / (448 * 512));
}

void fp8_quantize_groups(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first * cols; i < end * cols; i += fp8_block)
      kernels::fp8_fake_quantize(x.data() + i, fp8_block, 0);
  });
}

void fp8_quantize_static(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale) {
  if (!(input_scale > 0)) fail(Fault::input, "input_scale: is {}, expected a number above 0", input_scale);
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    kernels::fp8_fake_quantize_static(x.data() + first * cols, (end - first) * cols, input_scale);
  });
}

}  // namespace strata
