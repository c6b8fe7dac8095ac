#include "formats/weight/plain_scales.h"

#include <cstring>

#include "formats/kernels/convert.h"

namespace strata {
namespace {

Arithmetic arithmetic_in(Dtype dtype) {
  return dtype == Dtype::bf16 ? Arithmetic::bf16 : dtype == Dtype::f16 ? Arithmetic::f16 : Arithmetic::f32;
}

}  // namespace

Dtype plain_scale_dtype(Dtype source, ScaleRule rule) {
  return rule == ScaleRule::compressed_tensors ? source : Dtype::bf16;
}

Arithmetic arithmetic_of(Dtype source, ScaleRule rule) {
  return rule == ScaleRule::compressed_tensors ? arithmetic_in(source) : Arithmetic::f32;
}

float storable_scale(float x, Dtype source, ScaleRule rule) {
  const float scale = rounded(x, arithmetic_in(plain_scale_dtype(source, rule)));
  return scale == 0 ? epsilon(arithmetic_of(source, rule)) : scale;
}

void store_scales(std::span<const float> scales, Dtype dtype, std::byte* out) {
  if (dtype == Dtype::f32) {
    std::memcpy(out, scales.data(), scales.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const std::uint16_t half = dtype == Dtype::bf16 ? to_bf16_bits(scales[i]) : to_f16_bits(scales[i]);
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
}

}  // namespace strata
