// What the NVFP4 kernels share. Included once per instruction set, as minifloat-inl.h is.
#if defined(STRATA_NVFP4_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRATA_NVFP4_INL_H_
#undef STRATA_NVFP4_INL_H_
#else
#define STRATA_NVFP4_INL_H_
#endif

#include "formats/kernels/minifloat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {

constexpr std::size_t nv_group = 16;
constexpr std::size_t nv_chunk = 64;  // groups in flight, so that the stages work on the first-level cache

constexpr std::int32_t zero_group_code = 0x20;  // 0.125: what compressed-tensors stores where it finds no scale

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE void group_peaks(const float* HWY_RESTRICT x, std::size_t groups, float* HWY_RESTRICT peaks) {
  for (std::size_t g = 0; g < groups; ++g) peaks[g] = magnitude_max(x + g * nv_group, nv_group);
}

#else

// The four largest magnitudes of a group, one a column of its 4x4 square.
HWY_INLINE hn::Vec<hn::Full128<float> > column_peaks(const float* HWY_RESTRICT x) {
  const hn::Full128<float> d;
  const auto a = hn::Max(hn::Abs(hn::LoadU(d, x)), hn::Abs(hn::LoadU(d, x + 4)));
  const auto b = hn::Max(hn::Abs(hn::LoadU(d, x + 8)), hn::Abs(hn::LoadU(d, x + 12)));
  return hn::Max(a, b);
}

// peaks[g] = largest magnitude of the g-th group. Four groups at a time, transposed on the way.
HWY_INLINE void group_peaks(const float* HWY_RESTRICT x, std::size_t groups, float* HWY_RESTRICT peaks) {
  const hn::Full128<float> d;
  std::size_t g = 0;
  for (; g + 4 <= groups; g += 4) {
    const float* const from = x + g * nv_group;
    const auto v0 = column_peaks(from), v1 = column_peaks(from + nv_group);
    const auto v2 = column_peaks(from + 2 * nv_group), v3 = column_peaks(from + 3 * nv_group);
    const auto low = hn::Max(hn::InterleaveLower(d, v0, v1), hn::InterleaveUpper(d, v0, v1));
    const auto high = hn::Max(hn::InterleaveLower(d, v2, v3), hn::InterleaveUpper(d, v2, v3));
    hn::StoreU(hn::Max(hn::ConcatLowerLower(d, high, low), hn::ConcatUpperUpper(d, high, low)), d, peaks + g);
  }
  for (; g < groups; ++g) peaks[g] = hn::GetLane(hn::MaxOfLanes(d, column_peaks(x + g * nv_group)));
}

#endif

// E4M3 codes of the group scales peak / 6 * global scale. A group of zeros gets zero_group_code; one whose
// scale rounds to zero, the smallest scale.
HWY_INLINE hn::Vec<Words> minmax_scale_codes(hn::Vec<Floats> peak, hn::Vec<Floats> wanted) {
  const Floats d;
  const Words w;
  const auto code = hn::Max(e4m3_codes(wanted), hn::Set(w, 1));
  return hn::IfThenElse(hn::RebindMask(w, hn::Eq(peak, hn::Zero(d))), hn::Set(w, zero_group_code), code);
}

// E2M1 codes of 16 values over the scale of their group.
template <bool signed_zero>
HWY_INLINE hn::Vec<Words> group_codes(const float* HWY_RESTRICT x, hn::Vec<Floats> scale) {
  const Floats d;
  const auto quotient = hn::Div(hn::LoadU(d, x), scale);
  return e2m1_codes(signed_zero ? quotient : hn::Add(quotient, hn::Zero(d)));
}

// Codes of one group, packed: 8 bytes.
template <bool signed_zero>
HWY_INLINE void pack_group(const float* HWY_RESTRICT x, hn::Vec<Floats> scale, std::uint8_t* HWY_RESTRICT packed) {
#if HWY_TARGET == HWY_SCALAR
  for (std::size_t i = 0; i < nv_group; i += 2) {
    const std::int32_t even = hn::GetLane(group_codes<signed_zero>(x + i, scale));
    const std::int32_t odd = hn::GetLane(group_codes<signed_zero>(x + i + 1, scale));
    packed[i / 2] = static_cast<std::uint8_t>(even | odd << 4);
  }
#else
  const hn::RepartitionToWide<hn::RebindToUnsigned<Words> > pairs;
  const hn::Rebind<std::uint8_t, decltype(pairs)> bytes;
  for (std::size_t i = 0; i < nv_group; i += hn::Lanes(Floats())) {
    const auto codes = hn::BitCast(pairs, group_codes<signed_zero>(x + i, scale));
    hn::StoreU(hn::TruncateTo(bytes, hn::Or(codes, hn::ShiftRight<28>(codes))), bytes, packed + i / 2);
  }
#endif
}

// Packs a chunk with the scales of `codes`, which it stores.
template <bool signed_zero>
HWY_INLINE void pack_chunk(const float* HWY_RESTRICT x, std::size_t groups, float global_scale,
                           const std::int32_t* HWY_RESTRICT codes, std::uint8_t* HWY_RESTRICT packed,
                           std::uint8_t* HWY_RESTRICT scales) {
  const Floats d;
  const Words w;
  HWY_ALIGN float effective[nv_chunk];
  for (std::size_t g = 0; g < groups; g += hn::Lanes(d))
    hn::Store(hn::Div(e4m3_values(hn::Load(w, codes + g)), hn::Set(d, global_scale)), d, effective + g);
  for (std::size_t g = 0; g < groups; ++g) {
    scales[g] = static_cast<std::uint8_t>(codes[g]);
    pack_group<signed_zero>(x + g * nv_group, hn::Set(d, effective[g]), packed + g * nv_group / 2);
  }
}

}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
