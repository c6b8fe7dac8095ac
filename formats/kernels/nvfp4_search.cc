// Which of the E4M3 scales near the one from the largest magnitude loses least.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "formats/kernels/nvfp4.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/nvfp4_search.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/nvfp4-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

constexpr std::int32_t largest_code = 0x7e;

// As many groups as a vector has lanes, side by side: value i of group g is at [i * lanes + g]. Sums then run
// down the lanes in one order, whatever the number of lanes.
struct Transposed {
  HWY_ALIGN float magnitude[nv_group * 16];  // |w| * unit
  HWY_ALIGN float weight[nv_group * 16];     // of the squared error
};

HWY_INLINE void transpose(const float* HWY_RESTRICT from, std::size_t groups, std::size_t lanes,
                          float* HWY_RESTRICT to) {
  for (std::size_t g = 0; g < groups; ++g)
    for (std::size_t i = 0; i < nv_group; ++i) to[i * lanes + g] = from[g * nv_group + i];
}

// The squared error of each group with the group scale `scale`.
template <bool weighted>
HWY_INLINE hn::Vec<Floats> squared_error(const Transposed& values, hn::Vec<Floats> scale) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  for (std::size_t i = 0; i < nv_group; ++i) {
    const auto magnitude = hn::Load(d, values.magnitude + i * lanes);
    const auto rounded = hn::Mul(e2m1_rounded(hn::Div(magnitude, scale)), scale);
    const auto error = hn::Sub(magnitude, rounded);
    auto square = hn::Mul(error, error);
    if constexpr (weighted) square = hn::Mul(square, hn::Load(d, values.weight + i * lanes));
    sum = hn::Add(sum, square);
  }
  return sum;
}

// The codes whose values lie in [.6, 1.7] times `wanted`, and `middle` in any case.
HWY_INLINE void code_range(hn::Vec<Floats> wanted, hn::Vec<Words> middle, hn::Vec<Words>& first, hn::Vec<Words>& last) {
  const Floats d;
  const Words w;
  const auto one = hn::Set(w, 1);
  const auto low = hn::Mul(wanted, hn::Set(d, 0.6f)), high = hn::Mul(wanted, hn::Set(d, 1.7f));
  const auto near_low = e4m3_codes(low), near_high = e4m3_codes(high);
  const auto below = hn::RebindMask(w, hn::Lt(e4m3_values(near_low), low));
  const auto above = hn::RebindMask(w, hn::Gt(e4m3_values(near_high), high));
  first = hn::Min(hn::Add(near_low, hn::IfThenElseZero(below, one)), hn::Set(w, largest_code));
  last = hn::Sub(near_high, hn::IfThenElseZero(above, one));
  first = hn::Min(hn::Max(first, one), middle);
  last = hn::Max(last, middle);
}

// The code with the least error; of equals the middle one, then the smallest.
template <bool weighted>
HWY_INLINE hn::Vec<Words> best_codes(const Transposed& values, hn::Vec<Floats> wanted, hn::Vec<Words> middle,
                                     float global_scale, float unit) {
  const Floats d;
  const Words w;
  const auto divisor = hn::Set(d, global_scale);
  const auto error_of = [&](hn::Vec<Words> code) HWY_ATTR {
    return squared_error<weighted>(values, hn::Mul(hn::Div(e4m3_values(code), divisor), hn::Set(d, unit)));
  };
  hn::Vec<Words> first, last;
  code_range(wanted, middle, first, last);
  const std::int32_t steps = hn::GetLane(hn::MaxOfLanes(w, hn::Sub(last, first)));
  auto best = middle;
  auto least = error_of(middle);
  for (std::int32_t step = 0; step <= steps; ++step) {
    const auto code = hn::Min(hn::Add(first, hn::Set(w, step)), last);
    const auto error = error_of(code);
    const auto better = hn::Lt(error, least);
    least = hn::IfThenElse(better, error, least);
    best = hn::IfThenElse(hn::RebindMask(w, better), code, best);
  }
  return best;
}

template <bool weighted>
HWY_INLINE float search_groups(const float* HWY_RESTRICT x, std::int64_t count, float global_scale,
                               const float* HWY_RESTRICT column_weight, std::uint8_t* HWY_RESTRICT packed,
                               std::uint8_t* HWY_RESTRICT scales) {
  const Floats d;
  const Words w;
  const std::size_t lanes = hn::Lanes(d), total = static_cast<std::size_t>(count) / nv_group;
  // A power of two that brings the weights near 1, so that no square underflows.
  const float unit = std::ldexp(1.0f, std::ilogb(global_scale));
  HWY_ALIGN float peaks[nv_chunk] = {};
  HWY_ALIGN std::int32_t codes[nv_chunk];
  Transposed values = {};
  auto most = hn::Zero(d);
  for (std::size_t first = 0; first < total; first += nv_chunk) {
    const std::size_t groups = std::min(nv_chunk, total - first);
    const float* const from = x + first * nv_group;
    group_peaks(from, groups, peaks);
    for (std::size_t g = 0; g < groups; g += lanes) {
      const std::size_t together = std::min(lanes, groups - g);
      transpose(from + g * nv_group, together, lanes, values.magnitude);
      for (std::size_t i = 0; i < nv_group * lanes; i += lanes)
        hn::Store(hn::Mul(hn::Abs(hn::Load(d, values.magnitude + i)), hn::Set(d, unit)), d, values.magnitude + i);
      if constexpr (weighted) transpose(column_weight + (first + g) * nv_group, together, lanes, values.weight);
      const auto peak = hn::Load(d, peaks + g);  // behind the last group: those of the chunk before
      most = hn::Max(most, peak);
      const auto wanted = hn::Mul(hn::Div(peak, hn::Set(d, 6.0f)), hn::Set(d, global_scale));
      const auto middle = minmax_scale_codes(peak, wanted);
      const auto zero = hn::RebindMask(w, hn::Eq(peak, hn::Zero(d)));
      const auto best = best_codes<weighted>(values, wanted, middle, global_scale, unit);
      hn::Store(hn::IfThenElse(zero, middle, best), w, codes + g);
    }
    pack_chunk<true>(from, groups, global_scale, codes, packed + first * nv_group / 2, scales + first);
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

float search(const float* x, std::int64_t count, float global_scale, const float* column_weight, std::uint8_t* packed,
             std::uint8_t* scales) {
  if (column_weight == nullptr) return search_groups<false>(x, count, global_scale, nullptr, packed, scales);
  return search_groups<true>(x, count, global_scale, column_weight, packed, scales);
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(search);

float nvfp4_search(const float* x, std::int64_t count, float global_scale, const float* column_weight,
                   std::uint8_t* packed, std::uint8_t* scales) {
  return HWY_DYNAMIC_DISPATCH(search)(x, count, global_scale, column_weight, packed, scales);
}

}  // namespace strata::kernels
#endif
