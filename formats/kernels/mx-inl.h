// Elements of the MX formats on vectors, and how their codes are packed. Included once per instruction set
// (Highway's per-target idiom): no include guard of the usual kind.
#if defined(STRATA_MX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRATA_MX_INL_H_
#undef STRATA_MX_INL_H_
#else
#define STRATA_MX_INL_H_
#endif

#include <cstring>

#include "formats/kernels/minifloat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {

// scale_offset: the exponent of the largest element. round_bits: mantissa bits that the largest magnitude of
// a group keeps when it is rounded to a power of two.
struct E2M1 {
  static constexpr int mantissa_bits = 1, min_exponent = 0, code_bits = 4, scale_offset = 2, round_bits = 1;
  static constexpr float max = 6.0f;
};
struct E2M3 {
  static constexpr int mantissa_bits = 3, min_exponent = 0, code_bits = 6, scale_offset = 2, round_bits = 3;
  static constexpr float max = 7.5f;
};
struct E3M2 {
  static constexpr int mantissa_bits = 2, min_exponent = -2, code_bits = 6, scale_offset = 4, round_bits = 2;
  static constexpr float max = 28.0f;
};
struct E4M3 {
  static constexpr int mantissa_bits = 3, min_exponent = -6, code_bits = 8, scale_offset = 8, round_bits = 1;
  static constexpr float max = 448.0f;
};

// Rounding by one addition: the power of two at or below a magnitude, at least the smallest normal of the
// element, times 2^(23 - mantissa bits) leaves, when added, a multiple of the element's step in the last places
// of the sum, ties to even. This is that power of two as float bits; the magnitude is saturated. (No struct holds
// the steps together: vectors of SVE cannot be members.)
template <class Element>
HWY_INLINE hn::Vec<Words> element_base(hn::Vec<Floats> magnitude) {
  const Words w;
  const auto exponent = hn::And(hn::BitCast(w, magnitude), hn::Set(w, 0x7f800000));
  return hn::Max(exponent, hn::Set(w, (127 + Element::min_exponent) << 23));
}

// |x| rounded to a value of the element.
template <class Element>
HWY_INLINE hn::Vec<Floats> element_rounded(hn::Vec<Floats> magnitude) {
  const Floats d;
  const auto saturated = hn::Min(magnitude, hn::Set(d, Element::max));
  const auto shift = hn::Set(Words(), (23 - Element::mantissa_bits) << 23);
  const auto magic = hn::BitCast(d, hn::Add(element_base<Element>(saturated), shift));
  return hn::Sub(hn::Add(saturated, magic), magic);
}

// Codes with the sign in the highest bit, that of zero too.
template <class Element>
HWY_INLINE hn::Vec<Words> element_codes(hn::Vec<Floats> x) {
  const Floats d;
  const Words w;
  const auto sign =
      hn::And(hn::ShiftRight<32 - Element::code_bits>(hn::BitCast(w, x)), hn::Set(w, 1 << (Element::code_bits - 1)));
  const auto saturated = hn::Min(hn::Abs(x), hn::Set(d, Element::max));
  const auto base = element_base<Element>(saturated);
  const auto magic = hn::Add(base, hn::Set(w, (23 - Element::mantissa_bits) << 23));
  const auto steps = hn::Sub(hn::BitCast(w, hn::Add(saturated, hn::BitCast(d, magic))), magic);
  const auto binades = hn::Sub(hn::ShiftRight<23 - Element::mantissa_bits>(base),
                               hn::Set(w, (127 + Element::min_exponent) << Element::mantissa_bits));
  return hn::Or(hn::Add(steps, binades), sign);
}

template <class Element>
HWY_INLINE hn::Vec<Floats> element_values(hn::Vec<Words> codes) {
  const Floats d;
  const Words w;
  const auto sign = hn::And(hn::BitCast(d, hn::ShiftLeft<32 - Element::code_bits>(codes)), hn::Set(d, -0.0f));
  const auto magnitude = hn::And(codes, hn::Set(w, (1 << (Element::code_bits - 1)) - 1));
  return hn::Or(sign, minifloat_values<Element::mantissa_bits, Element::min_exponent>(magnitude));
}

// 2^(byte - 127) for 0 to 254; what is below counts as 0.
HWY_INLINE hn::Vec<Floats> power_of_two(hn::Vec<Words> byte) {
  const Words w;
  return hn::BitCast(Floats(), hn::Max(hn::ShiftLeft<23>(byte), hn::Set(w, 0x00400000)));
}

using Eights = hn::CappedTag<std::uint64_t, 4>;  // eight codes a word, at most a group a vector

HWY_INLINE hn::Vec<Eights> merge(hn::Vec<Eights> x, std::uint64_t keep, hn::Vec<Eights> moved, std::uint64_t fill) {
  const Eights d;
  return hn::Or(hn::And(x, hn::Set(d, keep)), hn::And(moved, hn::Set(d, fill)));
}

// Four codes of six bits become a little-endian word of 24. Eight codes in the bytes of a word become 48 bits:
// neighbours move together by 2, then pairs by 4, then fours by 8. `codes` is overwritten.
HWY_INLINE void pack_sixes(std::uint8_t* HWY_RESTRICT codes, std::size_t count, std::uint8_t* HWY_RESTRICT out) {
  const Eights d;
  auto* const words = reinterpret_cast<std::uint64_t*>(codes);
  for (std::size_t i = 0; i < count / 8; i += hn::Lanes(d)) {
    auto x = hn::Load(d, words + i);
    x = merge(x, 0x003f003f003f003fu, hn::ShiftRight<2>(x), 0x0fc00fc00fc00fc0u);
    x = merge(x, 0x00000fff00000fffu, hn::ShiftRight<4>(x), 0x00fff00000fff000u);
    x = merge(x, 0x0000000000ffffffu, hn::ShiftRight<8>(x), 0x0000ffffff000000u);
    hn::Store(x, d, words + i);
  }
  for (std::size_t i = 0; i < count / 8; ++i) std::memcpy(out + 6 * i, codes + 8 * i, 6);
}

// `codes` is aligned.
HWY_INLINE void unpack_sixes(const std::uint8_t* HWY_RESTRICT packed, std::size_t count,
                             std::uint8_t* HWY_RESTRICT codes) {
  const Eights d;
  auto* const words = reinterpret_cast<std::uint64_t*>(codes);
  for (std::size_t i = 0; i < count / 8; ++i) std::memcpy(codes + 8 * i, packed + 6 * i, 6);
  for (std::size_t i = 0; i < count / 8; i += hn::Lanes(d)) {
    auto x = hn::Load(d, words + i);
    x = merge(x, 0x0000000000ffffffu, hn::ShiftLeft<8>(x), 0x00ffffff00000000u);
    x = merge(x, 0x00000fff00000fffu, hn::ShiftLeft<4>(x), 0x0fff00000fff0000u);
    x = merge(x, 0x003f003f003f003fu, hn::ShiftLeft<2>(x), 0x3f003f003f003f00u);
    hn::Store(x, d, words + i);
  }
}

// The even column in the low half of a byte. `count` is a multiple of 32.
HWY_INLINE void unpack_nibbles(const std::uint8_t* HWY_RESTRICT packed, std::size_t count,
                               std::uint8_t* HWY_RESTRICT codes) {
  const hn::CappedTag<std::uint16_t, 16> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  for (std::size_t i = 0; i < count / 2; i += hn::Lanes(d)) {
    const auto both = hn::PromoteTo(d, hn::LoadU(bytes, packed + i));
    const auto apart = hn::Or(hn::And(both, hn::Set(d, 0x000f)), hn::And(hn::ShiftLeft<4>(both), hn::Set(d, 0x0f00)));
    hn::StoreU(apart, d, reinterpret_cast<std::uint16_t*>(codes + 2 * i));
  }
}

}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
