#include "formats/kernels/nvfp4.h"

#include <algorithm>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/nvfp4.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/minifloat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

constexpr std::size_t group = 16;
constexpr std::size_t chunk = 64;  // groups in flight, so that the stages work on the first-level cache

// What stands in for a group scale that rounds to zero.
enum class Underflow { zeros_only, always };

// Group scales in E4M3 and their values divided by the global scale. An all-zero group gets 0.125, the
// stand-in of compressed-tensors. A group that underflows gets the smallest scale for weights
// (zeros_only), and for activations (always) the stand-in too, as the runtimes compute.
template <Underflow underflow>
HWY_INLINE void group_scales(const float* HWY_RESTRICT x, std::size_t groups, float global_scale,
                             std::int32_t* HWY_RESTRICT codes, float* HWY_RESTRICT effective) {
  const Floats d;
  const Words w;
  HWY_ALIGN float peaks[chunk] = {};
  for (std::size_t g = 0; g < groups; ++g) peaks[g] = magnitude_max(x + g * group, group);
  for (std::size_t g = 0; g < groups; g += hn::Lanes(d)) {
    const auto peak = hn::Load(d, peaks + g);
    const auto scale = hn::Mul(hn::Div(peak, hn::Set(d, 6.0f)), hn::Set(d, global_scale));
    auto code = e4m3_codes(scale);
    if constexpr (underflow == Underflow::zeros_only) {
      code = hn::Max(code, hn::Set(w, 0x01));
      code = hn::IfThenElse(hn::RebindMask(w, hn::Eq(peak, hn::Zero(d))), hn::Set(w, 0x20), code);
    } else {
      code = hn::IfThenElse(hn::Eq(code, hn::Zero(w)), hn::Set(w, 0x20), code);
    }
    hn::Store(code, w, codes + g);
    hn::Store(hn::Div(e4m3_values(code), hn::Set(d, global_scale)), d, effective + g);
  }
}

void encode(const float* HWY_RESTRICT x, std::int64_t count, float global_scale, std::uint8_t* HWY_RESTRICT packed,
            std::uint8_t* HWY_RESTRICT scales) {
  const Floats d;
  const Bytes bytes;
  HWY_ALIGN std::int32_t scale_codes[chunk];
  HWY_ALIGN float effective[chunk];
  HWY_ALIGN std::uint8_t codes[chunk * group];
  const std::size_t total = static_cast<std::size_t>(count) / group;
  for (std::size_t first = 0; first < total; first += chunk) {
    const std::size_t groups = std::min(chunk, total - first);
    const float* const from = x + first * group;
    group_scales<Underflow::zeros_only>(from, groups, global_scale, scale_codes, effective);
    for (std::size_t g = 0; g < groups; ++g) {
      scales[first + g] = static_cast<std::uint8_t>(scale_codes[g]);
      const auto scale = hn::Set(d, effective[g]);
      for (std::size_t i = g * group; i < (g + 1) * group; i += hn::Lanes(d))
        hn::StoreU(hn::DemoteTo(bytes, e2m1_codes(hn::Div(hn::LoadU(d, from + i), scale))), bytes, codes + i);
    }
    pack_nibbles(codes, groups * group, packed + first * group / 2);
  }
}

void decode(const std::uint8_t* HWY_RESTRICT packed, const float* HWY_RESTRICT scales, std::int64_t count,
            float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Bytes bytes;
  HWY_ALIGN std::uint8_t codes[group];
  for (std::size_t g = 0; g < static_cast<std::size_t>(count) / group; ++g) {
    for (std::size_t i = 0; i < group / 2; ++i) {
      codes[2 * i] = packed[g * group / 2 + i] & 0xfu;
      codes[2 * i + 1] = static_cast<std::uint8_t>(packed[g * group / 2 + i] >> 4);
    }
    const auto scale = hn::Set(d, scales[g]);
    for (std::size_t i = 0; i < group; i += hn::Lanes(d)) {
      const auto value = e2m1_values(hn::PromoteTo(w, hn::Load(bytes, codes + i)));
      hn::StoreU(hn::Mul(value, scale), d, out + g * group + i);
    }
  }
}

void fake_quantize(float* x, std::int64_t count, float global_scale) {
  const Floats d;
  HWY_ALIGN std::int32_t scale_codes[chunk];
  HWY_ALIGN float effective[chunk];
  const std::size_t total = static_cast<std::size_t>(count) / group;
  for (std::size_t first = 0; first < total; first += chunk) {
    const std::size_t groups = std::min(chunk, total - first);
    float* const from = x + first * group;
    group_scales<Underflow::always>(from, groups, global_scale, scale_codes, effective);
    for (std::size_t g = 0; g < groups; ++g) {
      const auto scale = hn::Set(d, effective[g]);
      for (std::size_t i = g * group; i < (g + 1) * group; i += hn::Lanes(d)) {
        const auto code = e2m1_codes(hn::Div(hn::LoadU(d, from + i), scale));
        hn::StoreU(hn::Mul(e2m1_values(code), scale), d, from + i);
      }
    }
  }
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(encode);
HWY_EXPORT(decode);
HWY_EXPORT(fake_quantize);

void nvfp4_encode(const float* x, std::int64_t count, float global_scale, std::uint8_t* packed, std::uint8_t* scales) {
  HWY_DYNAMIC_DISPATCH(encode)(x, count, global_scale, packed, scales);
}

void nvfp4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(packed, scales, count, out);
}

void nvfp4_fake_quantize(float* x, std::int64_t count, float global_scale) {
  HWY_DYNAMIC_DISPATCH(fake_quantize)(x, count, global_scale);
}

}  // namespace strata::kernels
#endif
