#include "formats/nvfp4_weight.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "formats/kernels/convert.h"
#include "formats/kernels/minifloat.h"
#include "formats/kernels/nvfp4.h"
#include "formats/row_blocks.h"
#include "formats/stored_fields.h"

namespace strata {
namespace {

constexpr std::int64_t group = kernels::nvfp4_group;

}  // namespace

float nvfp4_global_scale(float amax) {
  // Two roundings, as compressed-tensors divides: the same bits.
  const float scale = 1.0f / amax * (e4m3_max * e2m1_max);
  return std::isfinite(scale) && scale > 0 ? scale : 1.0f;
}

std::vector<Field> nvfp4_weight_fields(const Shape& weight) {
  return {{"weight_packed", Dtype::u8, {weight[0], weight[1] / 2}},
          {"weight_scale", Dtype::f8_e4m3, {weight[0], weight[1] / group}},
          {"weight_global_scale", Dtype::f32, {1}}};
}

float nvfp4_shared_scale(std::span<const WeightView> /*group*/, const EncodeContext& context) {
  return nvfp4_global_scale(context.fused_amax);
}

void nvfp4_encode_weight(const WeightView& weight, const EncodeContext& context,
                         std::span<const std::span<std::byte>> out) {
  const float global_scale = context.shared_scale, fused_amax = context.fused_amax;
  auto* const packed = reinterpret_cast<std::uint8_t*>(out[0].data());
  auto* const scales = reinterpret_cast<std::uint8_t*>(out[1].data());
  std::memcpy(out[2].data(), &global_scale, sizeof global_scale);
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    const auto row_amax = std::bit_cast<float>(kernels::magnitude_bits_f32(values, weight.cols));
    if (!(row_amax <= fused_amax))
      fail(Fault::bug, "encoding NVFP4: row {} has magnitude {}, above the fused maximum {}", row, row_amax,
           fused_amax);
    kernels::nvfp4_encode(values, weight.cols, global_scale, packed + row * (weight.cols / 2),
                          scales + row * (weight.cols / group));
  });
}

void nvfp4_decode_weight(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                         const Shape& weight, std::span<float> out) {
  const StoredFields fields(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1], groups = cols / group;
  const auto packed = fields.raw("weight_packed", Dtype::u8, rows * (cols / 2));
  std::vector<float> scales = fields.floats("weight_scale", rows * groups);
  const float global_scale = fields.positive_scalar("weight_global_scale");
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(packed.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first * groups; i != end * groups; ++i) scales[static_cast<std::size_t>(i)] /= global_scale;
    kernels::nvfp4_decode(codes + first * (cols / 2), scales.data() + first * groups, (end - first) * cols,
                          out.data() + first * cols);
  });
}

}  // namespace strata
