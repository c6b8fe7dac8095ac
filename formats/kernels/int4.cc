#include "formats/kernels/int4.h"

#include <algorithm>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/int4.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/integer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

constexpr std::size_t chunk = 512;  // columns in flight

template <Arithmetic arithmetic>
void encode(const float* HWY_RESTRICT x, std::int64_t count, std::int64_t group, const float* HWY_RESTRICT scales,
            const float* HWY_RESTRICT zeros, std::uint8_t* HWY_RESTRICT packed) {
  HWY_ALIGN std::uint8_t codes[chunk];
  const auto width = static_cast<std::size_t>(group), total = static_cast<std::size_t>(count);
  for (std::size_t first = 0; first < total; first += chunk) {
    const std::size_t n = std::min(chunk, total - first);
    for (std::size_t i = 0; i < n; i += width) {
      const std::size_t g = (first + i) / width, columns = std::min(width, n - i);
      const float zero = zeros == nullptr ? 0.0f : zeros[g];
      integer_codes<4, arithmetic>(x + first + i, columns, scales[g], zero, 0, codes + i);
    }
    pack_nibbles(codes, n, packed + first / 2);
  }
}

void encode_f32(const float* x, std::int64_t count, std::int64_t group, const float* scales, const float* zeros,
                std::uint8_t* packed) {
  encode<Arithmetic::f32>(x, count, group, scales, zeros, packed);
}

void encode_bf16(const float* x, std::int64_t count, std::int64_t group, const float* scales, const float* zeros,
                 std::uint8_t* packed) {
  encode<Arithmetic::bf16>(x, count, group, scales, zeros, packed);
}

void encode_f16(const float* x, std::int64_t count, std::int64_t group, const float* scales, const float* zeros,
                std::uint8_t* packed) {
  encode<Arithmetic::f16>(x, count, group, scales, zeros, packed);
}

// One code a byte, from two.
HWY_INLINE void spread_nibbles(const std::uint8_t* HWY_RESTRICT packed, std::size_t count,
                               std::uint8_t* HWY_RESTRICT codes) {
  const hn::ScalableTag<std::uint16_t> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; 2 * (i + lanes) <= count; i += lanes) {
    const auto both = hn::PromoteTo(d, hn::LoadU(bytes, packed + i));
    const auto apart = hn::And(hn::Or(both, hn::ShiftLeft<4>(both)), hn::Set(d, 0x0f0f));
    hn::StoreU(apart, d, reinterpret_cast<std::uint16_t*>(codes + 2 * i));
  }
  for (; 2 * i < count; ++i) {
    codes[2 * i] = packed[i] & 0xfu;
    codes[2 * i + 1] = static_cast<std::uint8_t>(packed[i] >> 4);
  }
}

void decode(const std::uint8_t* HWY_RESTRICT packed, const float* HWY_RESTRICT scales, const float* HWY_RESTRICT zeros,
            std::int64_t count, std::int64_t group, float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Bytes bytes;
  HWY_ALIGN std::uint8_t codes[chunk];
  const std::size_t lanes = hn::Lanes(d);
  const auto width = static_cast<std::size_t>(group), total = static_cast<std::size_t>(count);
  for (std::size_t first = 0; first < total; first += chunk) {
    const std::size_t n = std::min(chunk, total - first);
    spread_nibbles(packed + first / 2, n, codes);
    for (std::size_t i = 0; i < n; i += width) {
      const std::size_t g = (first + i) / width;
      const auto offset = hn::Set(w, 8 + (zeros == nullptr ? 0 : static_cast<std::int32_t>(zeros[g])));
      const auto scale = hn::Set(d, scales[g]);
      for (std::size_t j = i; j < std::min(i + width, n); j += lanes) {
        const auto code = hn::Sub(hn::PromoteTo(w, hn::LoadU(bytes, codes + j)), offset);
        hn::StoreU(hn::Mul(hn::ConvertTo(d, code), scale), d, out + first + j);
      }
    }
  }
}

void extremes(const float* HWY_RESTRICT x, std::int64_t groups, std::int64_t group, float* HWY_RESTRICT least,
              float* HWY_RESTRICT most) {
  const Floats d;
  const auto width = static_cast<std::size_t>(group);
  for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g) {
    auto low = hn::Zero(d), high = hn::Zero(d);
    for (std::size_t i = g * width; i < (g + 1) * width; i += hn::Lanes(d)) {
      const auto value = hn::LoadU(d, x + i);
      low = hn::Min(low, value);
      high = hn::Max(high, value);
    }
    least[g] = hn::GetLane(hn::MinOfLanes(d, low));
    most[g] = hn::GetLane(hn::MaxOfLanes(d, high));
  }
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(encode_f32);
HWY_EXPORT(encode_bf16);
HWY_EXPORT(encode_f16);
HWY_EXPORT(decode);
HWY_EXPORT(extremes);

void int4_encode(const float* x, std::int64_t count, std::int64_t group, const float* scales, std::uint8_t* packed,
                 const float* zeros, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::bf16)
    HWY_DYNAMIC_DISPATCH(encode_bf16)(x, count, group, scales, zeros, packed);
  else if (arithmetic == Arithmetic::f16)
    HWY_DYNAMIC_DISPATCH(encode_f16)(x, count, group, scales, zeros, packed);
  else
    HWY_DYNAMIC_DISPATCH(encode_f32)(x, count, group, scales, zeros, packed);
}

void int4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, std::int64_t group, float* out,
                 const float* zeros) {
  HWY_DYNAMIC_DISPATCH(decode)(packed, scales, zeros, count, group, out);
}

void group_extremes(const float* x, std::int64_t groups, std::int64_t group, float* least, float* most) {
  HWY_DYNAMIC_DISPATCH(extremes)(x, groups, group, least, most);
}

}  // namespace strata::kernels
#endif
