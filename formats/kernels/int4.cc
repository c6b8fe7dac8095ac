#include "formats/kernels/int4.h"

#include <algorithm>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/int4.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/minifloat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

constexpr std::size_t chunk = 128;  // columns in flight

// clamp(round(x / scale), -8, 7) + 8. Clamping first gives the same: the bounds are integers.
HWY_INLINE void codes_of(const float* HWY_RESTRICT x, std::size_t count, float scale,
                         std::uint8_t* HWY_RESTRICT codes) {
  const Floats d;
  const Bytes bytes;
  const std::size_t lanes = hn::Lanes(d);
  HWY_ALIGN float last[16] = {};
  HWY_ALIGN std::uint8_t last_codes[16];
  const auto quantized = [&](const float* from) HWY_ATTR {
    const auto value = hn::Div(hn::LoadU(d, from), hn::Set(d, scale));
    const auto clamped = hn::Min(hn::Max(value, hn::Set(d, -8.0f)), hn::Set(d, 7.0f));
    return hn::DemoteTo(bytes, hn::Add(hn::NearestInt(clamped), hn::Set(Words(), 8)));
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(quantized(x + i), bytes, codes + i);
  if (i == count) return;
  std::copy(x + i, x + count, last);
  hn::Store(quantized(last), bytes, last_codes);
  std::copy(last_codes, last_codes + (count - i), codes + i);
}

void encode(const float* HWY_RESTRICT x, std::int64_t count, std::int64_t group, const float* HWY_RESTRICT scales,
            std::uint8_t* HWY_RESTRICT packed) {
  HWY_ALIGN std::uint8_t codes[chunk];
  const auto width = static_cast<std::size_t>(group);
  for (std::size_t g = 0; g < static_cast<std::size_t>(count) / width; ++g) {
    for (std::size_t i = 0; i < width; i += chunk) {
      const std::size_t n = std::min(chunk, width - i);
      codes_of(x + g * width + i, n, scales[g], codes);
      pack_nibbles(codes, n, packed + (g * width + i) / 2);
    }
  }
}

void decode(const std::uint8_t* HWY_RESTRICT packed, const float* HWY_RESTRICT scales, std::int64_t count,
            std::int64_t group, float* HWY_RESTRICT out) {
  const auto width = static_cast<std::size_t>(group);
  for (std::size_t g = 0; g < static_cast<std::size_t>(count) / width; ++g) {
    for (std::size_t i = g * width; i < (g + 1) * width; i += 2) {
      out[i] = static_cast<float>((packed[i / 2] & 0xf) - 8) * scales[g];
      out[i + 1] = static_cast<float>((packed[i / 2] >> 4) - 8) * scales[g];
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

void int4_encode(const float* x, std::int64_t count, std::int64_t group, const float* scales, std::uint8_t* packed) {
  HWY_DYNAMIC_DISPATCH(encode)(x, count, group, scales, packed);
}

void int4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, std::int64_t group, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(packed, scales, count, group, out);
}

}  // namespace strata::kernels
#endif
