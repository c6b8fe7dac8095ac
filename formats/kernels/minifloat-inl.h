// The rules of minifloat.h on vectors. Included once per instruction set (Highway's per-target idiom):
// no include guard of the usual kind.
#if defined(STRATA_MINIFLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRATA_MINIFLOAT_INL_H_
#undef STRATA_MINIFLOAT_INL_H_
#else
#define STRATA_MINIFLOAT_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most one group of 16 per vector: groups never share a vector, whatever the CPU.
using Floats = hn::CappedTag<float, 16>;
using Words = hn::Rebind<std::int32_t, Floats>;
using Bytes = hn::Rebind<std::uint8_t, Floats>;

template <int mantissa_bits, int min_exponent>
HWY_INLINE hn::Vec<Words> minifloat_codes(hn::Vec<Floats> magnitude) {
  const Floats d;
  const Words w;
  constexpr int shift = 23 - mantissa_bits;
  const auto bits = hn::BitCast(w, magnitude);
  const auto magic = hn::Set(w, (127 + min_exponent + shift) << 23);
  const auto subnormal = hn::Sub(hn::BitCast(w, hn::Add(magnitude, hn::BitCast(d, magic))), magic);
  const auto odd = hn::And(hn::ShiftRight<shift>(bits), hn::Set(w, 1));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(w, (1 << (shift - 1)) - 1)), odd);
  const auto normal = hn::Sub(hn::ShiftRight<shift>(rounded), hn::Set(w, (127 + min_exponent - 1) << mantissa_bits));
  const auto small = hn::Lt(bits, hn::Set(w, (127 + min_exponent) << 23));
  return hn::IfThenElse(small, subnormal, normal);
}

template <int mantissa_bits, int min_exponent>
HWY_INLINE hn::Vec<Floats> minifloat_values(hn::Vec<Words> codes) {
  const Floats d;
  const Words w;
  constexpr int shift = 23 - mantissa_bits;
  constexpr int bias = (127 + min_exponent - 1) << 23;
  // The step of the subnormals, 2^(min_exponent - mantissa_bits), as float bits.
  const auto step = hn::BitCast(d, hn::Set(w, (127 + min_exponent - mantissa_bits) << 23));
  const auto subnormal = hn::Mul(hn::ConvertTo(d, codes), step);
  const auto normal = hn::BitCast(d, hn::Add(hn::ShiftLeft<shift>(codes), hn::Set(w, bias)));
  const auto small = hn::RebindMask(d, hn::Lt(codes, hn::Set(w, 1 << mantissa_bits)));
  return hn::IfThenElse(small, subnormal, normal);
}

// Codes with the sign in bit 7; x is finite or infinite, not NaN.
HWY_INLINE hn::Vec<Words> e4m3_codes(hn::Vec<Floats> x) {
  const Floats d;
  const Words w;
  const auto sign = hn::And(hn::ShiftRight<24>(hn::BitCast(w, x)), hn::Set(w, 0x80));
  return hn::Or(sign, minifloat_codes<3, -6>(hn::Min(hn::Abs(x), hn::Set(d, 448.0f))));
}

HWY_INLINE hn::Vec<Floats> e4m3_values(hn::Vec<Words> codes) {
  const Floats d;
  const Words w;
  const auto sign = hn::BitCast(d, hn::ShiftLeft<24>(hn::And(codes, hn::Set(w, 0x80))));
  return hn::Or(sign, minifloat_values<3, -6>(hn::And(codes, hn::Set(w, 0x7f))));
}

// E2M1 by one addition: its steps are 1/2 below 2, 1 below 4 and 2 below 6. The power of two at or below the
// magnitude, at least 1, times 2^22 leaves, when added, a multiple of the step in the last places. This is
// that power of two as float bits; the magnitude is at most 6.
HWY_INLINE hn::Vec<Words> e2m1_base(hn::Vec<Floats> magnitude) {
  const Words w;
  return hn::Max(hn::And(hn::BitCast(w, magnitude), hn::Set(w, 0x7f800000)), hn::Set(w, 127 << 23));
}

// |x| rounded to an E2M1 value.
HWY_INLINE hn::Vec<Floats> e2m1_rounded(hn::Vec<Floats> magnitude) {
  const Floats d;
  const auto saturated = hn::Min(magnitude, hn::Set(d, 6.0f));
  const auto magic = hn::BitCast(d, hn::Add(e2m1_base(saturated), hn::Set(Words(), 22 << 23)));
  return hn::Sub(hn::Add(saturated, magic), magic);
}

// Codes with the sign of x in bit 3, that of -0 too. Add +0 before where -0 counts as 0.
HWY_INLINE hn::Vec<Words> e2m1_codes(hn::Vec<Floats> x) {
  const Floats d;
  const Words w;
  const auto high_bits = hn::ShiftRight<28>(hn::BitCast(hn::RebindToUnsigned<Words>(), x));
  const auto saturated = hn::Min(hn::Abs(x), hn::Set(d, 6.0f));
  const auto base = e2m1_base(saturated), magic = hn::Add(base, hn::Set(w, 22 << 23));
  const auto steps = hn::Sub(hn::BitCast(w, hn::Add(saturated, hn::BitCast(d, magic))), magic);
  const auto offset = hn::Sub(hn::ShiftRight<22>(base), hn::Set(w, 127 << 1));
  return hn::Or(hn::Add(steps, offset), hn::And(hn::BitCast(w, high_bits), hn::Set(w, 8)));
}

HWY_INLINE hn::Vec<Floats> e2m1_values(hn::Vec<Words> codes) {
  const Floats d;
  const Words w;
  const auto sign = hn::BitCast(d, hn::ShiftLeft<28>(hn::And(codes, hn::Set(w, 8))));
  return hn::Or(sign, minifloat_values<1, 0>(hn::And(codes, hn::Set(w, 7))));
}

// Largest magnitude of a multiple of 16 values.
HWY_INLINE float magnitude_max(const float* HWY_RESTRICT x, std::size_t count) {
  const Floats d;
  auto most = hn::Zero(d);
  for (std::size_t i = 0; i < count; i += 16)
    for (std::size_t lane = 0; lane < 16; lane += hn::Lanes(d))
      most = hn::Max(most, hn::Abs(hn::LoadU(d, x + i + lane)));
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

// The same for any count.
HWY_INLINE float magnitude_max_tail(const float* HWY_RESTRICT x, std::size_t count) {
  const std::size_t whole = count / 16 * 16;
  HWY_ALIGN float rest[16] = {};
  for (std::size_t i = whole; i < count; ++i) rest[i - whole] = x[i];
  const float tail = magnitude_max(rest, 16);
  return whole == 0 ? tail : HWY_MAX(magnitude_max(x, whole), tail);
}

// Two codes of four bits a byte, the even column in the low half. `count` codes, even.
HWY_INLINE void pack_nibbles(const std::uint8_t* HWY_RESTRICT codes, std::size_t count,
                             std::uint8_t* HWY_RESTRICT out) {
  const hn::ScalableTag<std::uint16_t> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; 2 * (i + lanes) <= count; i += lanes) {
    const auto pair = hn::LoadU(d, reinterpret_cast<const std::uint16_t*>(codes + 2 * i));
    const auto both = hn::And(hn::Or(pair, hn::ShiftRight<4>(pair)), hn::Set(d, 0xff));
    hn::StoreU(hn::DemoteTo(bytes, hn::BitCast(hn::Rebind<std::int16_t, decltype(d)>(), both)), bytes, out + i);
  }
  for (; 2 * i < count; ++i) out[i] = static_cast<std::uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
}

}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
