#include "formats/kernels/convert.h"

#include <algorithm>
#include <cstddef>

#include "formats/kernels/minifloat.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/convert.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/minifloat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

using Halves = hn::Rebind<std::uint16_t, Floats>;

void widen_b(const std::uint16_t* HWY_RESTRICT in, std::int64_t count, float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Halves halves;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(w, hn::LoadU(halves, in + i)))), d, out + i);
  for (; i < n; ++i) out[i] = from_bf16_bits(in[i]);
}

// The exponent is moved by a multiplication, which is exact for subnormals too.
void widen_h(const std::uint16_t* HWY_RESTRICT in, std::int64_t count, float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Halves halves;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::PromoteTo(w, hn::LoadU(halves, in + i));
    const auto magnitude = hn::And(bits, hn::Set(w, 0x7fff));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(w, 0x8000)));
    const auto shifted = hn::ShiftLeft<13>(magnitude);
    const auto finite = hn::BitCast(w, hn::Mul(hn::BitCast(d, shifted), hn::Set(d, 0x1p112f)));
    const auto special = hn::Or(shifted, hn::Set(w, 0x7f800000));
    const auto value = hn::IfThenElse(hn::Gt(magnitude, hn::Set(w, 0x7bff)), special, finite);
    hn::StoreU(hn::BitCast(d, hn::Or(value, sign)), d, out + i);
  }
  for (; i < n; ++i) out[i] = from_f16_bits(in[i]);
}

void narrow_b(const float* HWY_RESTRICT in, std::int64_t count, std::uint16_t* HWY_RESTRICT out) {
  const hn::Rebind<std::uint32_t, Floats> d;
  const Halves halves;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::LoadU(d, reinterpret_cast<const std::uint32_t*>(in) + i);
    const auto high = hn::ShiftRight<16>(bits);
    const auto odd = hn::And(high, hn::Set(d, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(d, 0x7fff)), odd));
    const auto quiet = hn::Or(high, hn::Set(d, 0x40));
    const auto magnitude = hn::BitCast(Words(), hn::And(bits, hn::Set(d, 0x7fffffff)));
    const auto nan = hn::RebindMask(d, hn::Gt(magnitude, hn::Set(Words(), 0x7f800000)));
    // DemoteTo saturates from signed values; these have at most 16 bits.
    const auto value = hn::BitCast(Words(), hn::IfThenElse(nan, quiet, rounded));
    hn::StoreU(hn::DemoteTo(halves, value), halves, out + i);
  }
  for (; i < n; ++i) out[i] = to_bf16_bits(in[i]);
}

std::uint32_t bits_32(const float* HWY_RESTRICT in, std::int64_t count) {
  const Words w;
  const std::size_t lanes = hn::Lanes(w), n = static_cast<std::size_t>(count);
  const auto* const words = reinterpret_cast<const std::int32_t*>(in);
  auto most = hn::Zero(w);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) most = hn::Max(most, hn::And(hn::LoadU(w, words + i), hn::Set(w, 0x7fffffff)));
  auto largest = static_cast<std::uint32_t>(hn::GetLane(hn::MaxOfLanes(w, most)));
  for (; i < n; ++i) largest = std::max(largest, static_cast<std::uint32_t>(words[i]) & 0x7fffffffu);
  return largest;
}

std::uint32_t bits_16(const std::uint16_t* HWY_RESTRICT in, std::int64_t count) {
  const hn::ScalableTag<std::int16_t> d;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  const auto* const halves = reinterpret_cast<const std::int16_t*>(in);
  auto most = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) most = hn::Max(most, hn::And(hn::LoadU(d, halves + i), hn::Set(d, 0x7fff)));
  HWY_ALIGN std::int16_t lane[HWY_MAX_BYTES / 2];
  hn::Store(most, d, lane);
  std::int16_t largest = *std::max_element(lane, lane + lanes);
  for (; i < n; ++i) largest = std::max(largest, static_cast<std::int16_t>(halves[i] & 0x7fff));
  return static_cast<std::uint32_t>(largest);
}

void amax_of_groups(const float* HWY_RESTRICT in, std::int64_t groups, std::int64_t group, float* HWY_RESTRICT amax) {
  const auto width = static_cast<std::size_t>(group);
  for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g)
    amax[g] = magnitude_max_tail(in + g * width, width);
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(widen_b);
HWY_EXPORT(widen_h);
HWY_EXPORT(narrow_b);
HWY_EXPORT(bits_32);
HWY_EXPORT(bits_16);
HWY_EXPORT(amax_of_groups);

void widen_bf16(const std::uint16_t* in, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(widen_b)(in, count, out);
}

void widen_f16(const std::uint16_t* in, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(widen_h)(in, count, out);
}

void narrow_bf16(const float* in, std::int64_t count, std::uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(narrow_b)(in, count, out);
}

std::uint32_t magnitude_bits_f32(const float* in, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(bits_32)(in, count);
}

std::uint32_t magnitude_bits_16(const std::uint16_t* in, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(bits_16)(in, count);
}

void group_amax(const float* in, std::int64_t groups, std::int64_t group, float* amax) {
  HWY_DYNAMIC_DISPATCH(amax_of_groups)(in, groups, group, amax);
}

}  // namespace strata::kernels
#endif
