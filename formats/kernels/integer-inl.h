// Integers of up to eight bits on vectors. Included once per instruction set (Highway's per-target idiom):
// no include guard of the usual kind.
#if defined(STRATA_INTEGER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRATA_INTEGER_INL_H_
#undef STRATA_INTEGER_INL_H_
#else
#define STRATA_INTEGER_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/kernels/arithmetic-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {

template <int bits>
HWY_INLINE hn::Vec<Floats> clamp_to_bits(hn::Vec<Floats> x) {
  const Floats d;
  constexpr float half = 1 << (bits - 1);
  return hn::Min(hn::Max(x, hn::Set(d, -half)), hn::Set(d, half - 1));
}

// clamp(round(x / scale + zero)) + 2^(bits - 1). Clamping first gives the same: the bounds are integers.
template <int bits, Arithmetic arithmetic>
HWY_INLINE hn::Vec<Words> offset_integers(hn::Vec<Floats> x, hn::Vec<Floats> scale, hn::Vec<Floats> zero) {
  const auto quotient = round_in<arithmetic>(hn::Div(x, scale));
  const auto value = round_in<arithmetic>(hn::Add(quotient, zero));
  return hn::Add(hn::NearestInt(clamp_to_bits<bits>(value)), hn::Set(Words(), 1 << (bits - 1)));
}

// The same for `count` values, one byte each, xor `flip`.
template <int bits, Arithmetic arithmetic>
HWY_INLINE void integer_codes(const float* HWY_RESTRICT x, std::size_t count, float scale, float zero, int flip,
                              std::uint8_t* HWY_RESTRICT codes) {
  const Floats d;
  const Bytes bytes;
  const std::size_t lanes = hn::Lanes(d);
  const auto divisor = hn::Set(d, scale), offset = hn::Set(d, zero);
  const auto quantized = [&](const float* from) HWY_ATTR {
    const auto code = offset_integers<bits, arithmetic>(hn::LoadU(d, from), divisor, offset);
    return hn::DemoteTo(bytes, hn::Xor(code, hn::Set(Words(), flip)));
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(quantized(x + i), bytes, codes + i);
  if (i == count) return;
  HWY_ALIGN float last[16] = {};
  HWY_ALIGN std::uint8_t last_codes[16];
  std::copy(x + i, x + count, last);
  hn::Store(quantized(last), bytes, last_codes);
  std::copy(last_codes, last_codes + (count - i), codes + i);
}

}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
