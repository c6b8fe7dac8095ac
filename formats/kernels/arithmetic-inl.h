// arithmetic.h on vectors, and sums that do not depend on their width. Included once per instruction set
// (Highway's per-target idiom): no include guard of the usual kind.
#if defined(STRATA_ARITHMETIC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRATA_ARITHMETIC_INL_H_
#undef STRATA_ARITHMETIC_INL_H_
#else
#define STRATA_ARITHMETIC_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "formats/kernels/arithmetic.h"
#include "formats/kernels/minifloat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {

// x rounded to the arithmetic. In float16 values beyond its range stay as they are: the callers clamp.
template <Arithmetic arithmetic>
HWY_INLINE hn::Vec<Floats> round_in(hn::Vec<Floats> x) {
  const Floats d;
  const hn::Rebind<std::uint32_t, Floats> u;
  constexpr int shift = arithmetic == Arithmetic::bf16 ? 16 : 13;
  if constexpr (arithmetic == Arithmetic::f32) return x;
  const auto bits = hn::BitCast(u, x);
  const auto odd = hn::And(hn::ShiftRight<shift>(bits), hn::Set(u, 1));
  const auto up = hn::Add(hn::Add(bits, hn::Set(u, (1u << (shift - 1)) - 1)), odd);
  const auto normal = hn::BitCast(d, hn::And(up, hn::Set(u, ~((1u << shift) - 1))));
  if constexpr (arithmetic == Arithmetic::bf16) return normal;
  // One unit in the last place of 0.5 is the step of float16's subnormals: the addition rounds.
  const auto half = hn::Set(d, 0.5f);
  const auto subnormal = hn::CopySign(hn::Sub(hn::Add(hn::Abs(x), half), half), x);
  return hn::IfThenElse(hn::Lt(hn::Abs(x), hn::Set(d, 0x1p-14f)), subnormal, normal);
}

template <std::size_t count>
HWY_INLINE float pairwise_sum(const float* x) {
  if constexpr (count == 1)
    return x[0];
  else
    return pairwise_sum<count / 2>(x) + pairwise_sum<count / 2>(x + count / 2);
}

// sum over i of body(vector of x) * column weight, with the same bits for every width of vector: sixteen
// sums, added in pairs, and chunks of 512 elements added in double.
template <bool weighted, typename Body>
HWY_INLINE double sum_of_16(const float* HWY_RESTRICT x, const float* HWY_RESTRICT column_weight, std::size_t count,
                            const Body& body) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  HWY_ALIGN float sums[16];
  HWY_ALIGN float last[16];
  HWY_ALIGN float last_weight[16];
  const std::size_t whole = count / 16 * 16;
  if (whole != count) {
    for (std::size_t i = 0; i < 16; ++i) {
      last[i] = whole + i < count ? x[whole + i] : 0.0f;
      if constexpr (weighted) last_weight[i] = whole + i < count ? column_weight[whole + i] : 0.0f;
    }
  }
  double total = 0;
  for (std::size_t first = 0; first < count; first += 512) {
    const std::size_t end = HWY_MIN(first + 512, count);
    for (std::size_t lane = 0; lane < 16; lane += lanes) {
      auto sum = hn::Zero(d);
      for (std::size_t i = first; i < end; i += 16) {
        auto term = body(hn::LoadU(d, (i < whole ? x + i : last) + lane));
        if constexpr (weighted)
          term = hn::Mul(term, hn::LoadU(d, (i < whole ? column_weight + i : last_weight) + lane));
        sum = hn::Add(sum, term);
      }
      hn::Store(sum, d, sums + lane);
    }
    total += static_cast<double>(pairwise_sum<16>(sums));
  }
  return total;
}

}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
