#include "formats/weight/nvfp4_weight.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "formats/kernels/minifloat.h"
#include "formats/kernels/nvfp4.h"
#include "formats/weight/plain_scales.h"
#include "formats/weight/row_blocks.h"
#include "formats/weight/stored_fields.h"

namespace strata {
namespace {

constexpr std::int64_t group = kernels::nvfp4_group;

// One row; gives its largest magnitude.
float encode_row(const float* values, const WeightView& weight, const EncodeContext& context, std::uint8_t* packed,
                 std::uint8_t* scales) {
  const float global_scale = context.shared_scale;
  switch (context.rule) {
    case ScaleRule::minmax:
      return kernels::nvfp4_encode(values, weight.cols, global_scale, packed, scales);
    case ScaleRule::search: {
      const float* const column_weight = context.column_weight.empty() ? nullptr : context.column_weight.data();
      return kernels::nvfp4_search(values, weight.cols, global_scale, column_weight, packed, scales);
    }
    case ScaleRule::compressed_tensors:
      break;
  }
  return kernels::nvfp4_encode_as_compressed_tensors(values, weight.cols, global_scale,
                                                     arithmetic_of(weight.dtype, context.rule), packed, scales);
}

// The factor of each group: its scale over the global scale. E4M3 scales, as we store them, through a table.
class GroupFactors {
 public:
  GroupFactors(const StoredFields& fields, bool e4m3, std::int64_t groups)
      : global_scale_(fields.positive_scalar("weight_global_scale")) {
    if (!e4m3) {
      scales_ = fields.floats("weight_scale", groups);
      return;
    }
    codes_ = fields.raw("weight_scale", Dtype::f8_e4m3, groups);
    for (std::size_t code = 0; code < factors_.size(); ++code)
      factors_[code] = decode_e4m3(static_cast<std::uint8_t>(code)) / global_scale_;
  }

  void read(std::size_t first, std::span<float> out) const {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] =
          scales_.empty() ? factors_[static_cast<std::uint8_t>(codes_[first + i])] : scales_[first + i] / global_scale_;
  }

 private:
  float global_scale_;
  std::span<const std::byte> codes_;
  std::array<float, 256> factors_ = {};
  std::vector<float> scales_;
};

}  // namespace

float nvfp4_global_scale(float amax, ScaleRule rule, Dtype weights) {
  float scale = e4m3_max * e2m1_max / amax;
  if (rule == ScaleRule::compressed_tensors) {
    const Arithmetic theirs = arithmetic_of(weights, rule);
    const float smallest = theirs == Arithmetic::f16 ? 0x1p-14f : std::numeric_limits<float>::min();
    const float reciprocal = rounded(1.0f / std::max(rounded(amax, theirs), smallest), theirs);
    scale = rounded(reciprocal * (e4m3_max * e2m1_max), theirs);
  }
  return std::isfinite(scale) && scale > 0 ? scale : 1.0f;
}

std::vector<Field> nvfp4_weight_fields(const Shape& weight) {
  return {{"weight_packed", Dtype::u8, {weight[0], weight[1] / 2}},
          {"weight_scale", Dtype::f8_e4m3, {weight[0], weight[1] / group}},
          {"weight_global_scale", Dtype::f32, {1}}};
}

float nvfp4_shared_scale(std::span<const WeightView> group_of_linears, const EncodeContext& context) {
  return nvfp4_global_scale(context.fused_amax, context.rule, group_of_linears.front().dtype);
}

void nvfp4_encode_weight(const WeightView& weight, const EncodeContext& context,
                         std::span<const std::span<std::byte>> out) {
  const float global_scale = context.shared_scale, fused_amax = context.fused_amax;
  auto* const packed = reinterpret_cast<std::uint8_t*>(out[0].data());
  auto* const scales = reinterpret_cast<std::uint8_t*>(out[1].data());
  std::memcpy(out[2].data(), &global_scale, sizeof global_scale);
  for_each_row(weight, [&](std::int64_t row, const float* values) {
    const float row_amax =
        encode_row(values, weight, context, packed + row * (weight.cols / 2), scales + row * (weight.cols / group));
    if (!(row_amax <= fused_amax))
      fail(Fault::bug, "encoding NVFP4: row {} has magnitude {}, above the fused maximum {}", row, row_amax,
           fused_amax);
  });
}

void nvfp4_decode_weight(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                         const Shape& weight, std::span<float> out) {
  const StoredFields fields(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1], groups = cols / group;
  const auto packed = fields.raw("weight_packed", Dtype::u8, rows * (cols / 2));
  const bool e4m3 = std::any_of(stored.begin(), stored.end(), [](const Field& field) {
    return field.suffix == "weight_scale" && field.dtype == Dtype::f8_e4m3;
  });
  const GroupFactors factors(fields, e4m3, rows * groups);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(packed.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    std::array<float, 256> some;
    const std::int64_t last = end * groups, step = static_cast<std::int64_t>(some.size());
    for (std::int64_t g = first * groups; g < last; g += step) {
      const std::int64_t count = std::min(step, last - g);
      factors.read(static_cast<std::size_t>(g), std::span(some).first(static_cast<std::size_t>(count)));
      kernels::nvfp4_decode(codes + g * (group / 2), some.data(), count * group, out.data() + g * group);
    }
  });
}

}  // namespace strata
