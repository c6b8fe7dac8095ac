#include "cache/byte_planes.h"

#include <algorithm>
#include <bit>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cache/byte_planes.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strata::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Bytes = hn::ScalableTag<std::uint8_t>;
using Words = hn::ScalableTag<std::uint32_t>;
using Block = hn::Vec<Bytes>;

// What the vectors do below, one value at a time: `upper` are bytes 2 and 3 of a float.
namespace swapped {
std::uint8_t exponent(const std::uint8_t* upper) {
  return static_cast<std::uint8_t>((upper[1] << 1) | (upper[0] >> 7));
}
std::uint8_t sign_and_mantissa(const std::uint8_t* upper) {
  return static_cast<std::uint8_t>((upper[1] & 0x80) | (upper[0] & 0x7f));
}
void put(std::uint8_t mantissa, std::uint8_t exponent_byte, std::uint8_t* upper) {
  upper[0] = static_cast<std::uint8_t>((exponent_byte << 7) | (mantissa & 0x7f));
  upper[1] = static_cast<std::uint8_t>((mantissa & 0x80) | (exponent_byte >> 1));
}
}  // namespace swapped

// Bytes 2 (low) and 3 (high) of floats to their planes, and back.
HWY_INLINE Block exponent_of(Block low, Block high) { return hn::Or(hn::Add(high, high), hn::ShiftRight<7>(low)); }
HWY_INLINE Block sign_and_mantissa_of(Block low, Block high) {
  return hn::Or(hn::And(high, hn::Set(Bytes(), 0x80)), hn::And(low, hn::Set(Bytes(), 0x7f)));
}
HWY_INLINE Block low_of(Block mantissa, Block exponent) {
  return hn::Or(hn::And(mantissa, hn::Set(Bytes(), 0x7f)), hn::ShiftLeft<7>(exponent));
}
HWY_INLINE Block high_of(Block mantissa, Block exponent) {
  return hn::Or(hn::And(mantissa, hn::Set(Bytes(), 0x80)), hn::ShiftRight<1>(exponent));
}

std::uint32_t low_bits(const std::uint8_t* HWY_RESTRICT in, std::size_t count) {
  const Words d;
  const std::size_t lanes = hn::Lanes(d);
  auto seen = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    seen = hn::Or(seen, hn::LoadU(d, reinterpret_cast<const std::uint32_t*>(in) + i));
  std::uint32_t rest = 0;
  for (; i < count; ++i) {
    std::uint32_t word;
    std::memcpy(&word, in + 4 * i, 4);
    rest |= word;
  }
  const bool zero = hn::AllTrue(d, hn::Eq(hn::And(seen, hn::Set(d, 0xffff)), hn::Zero(d)));
  return (zero ? 0u : 1u) | (rest & 0xffff);
}

void split4(const std::uint8_t* HWY_RESTRICT in, std::size_t count, std::uint8_t* const* planes) {
  std::uint8_t *HWY_RESTRICT p0 = planes[0], *HWY_RESTRICT p1 = planes[1];
  std::uint8_t *HWY_RESTRICT p2 = planes[2], *HWY_RESTRICT p3 = planes[3];
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    Block b0, b1, b2, b3;
    hn::LoadInterleaved4(d, in + 4 * i, b0, b1, b2, b3);
    hn::StoreU(b0, d, p0 + i);
    hn::StoreU(b1, d, p1 + i);
    hn::StoreU(sign_and_mantissa_of(b2, b3), d, p2 + i);
    hn::StoreU(exponent_of(b2, b3), d, p3 + i);
  }
  for (; i < count; ++i) {
    p0[i] = in[4 * i];
    p1[i] = in[4 * i + 1];
    p2[i] = swapped::sign_and_mantissa(in + 4 * i + 2);
    p3[i] = swapped::exponent(in + 4 * i + 2);
  }
}

void merge4(const std::uint8_t* const* planes, std::size_t count, std::uint8_t* HWY_RESTRICT out) {
  const std::uint8_t *HWY_RESTRICT p0 = planes[0], *HWY_RESTRICT p1 = planes[1];
  const std::uint8_t *HWY_RESTRICT p2 = planes[2], *HWY_RESTRICT p3 = planes[3];
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto mantissa = hn::LoadU(d, p2 + i), exponent = hn::LoadU(d, p3 + i);
    hn::StoreInterleaved4(hn::LoadU(d, p0 + i), hn::LoadU(d, p1 + i), low_of(mantissa, exponent),
                          high_of(mantissa, exponent), d, out + 4 * i);
  }
  for (; i < count; ++i) {
    out[4 * i] = p0[i];
    out[4 * i + 1] = p1[i];
    swapped::put(p2[i], p3[i], out + 4 * i + 2);
  }
}

void split2(const std::uint8_t* HWY_RESTRICT in, std::size_t count, std::uint8_t* const* planes) {
  std::uint8_t *HWY_RESTRICT p0 = planes[0], *HWY_RESTRICT p1 = planes[1];
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    Block b0, b1, b2, b3;
    hn::LoadInterleaved4(d, in + 4 * i, b0, b1, b2, b3);
    hn::StoreU(sign_and_mantissa_of(b2, b3), d, p0 + i);
    hn::StoreU(exponent_of(b2, b3), d, p1 + i);
  }
  for (; i < count; ++i) {
    p0[i] = swapped::sign_and_mantissa(in + 4 * i + 2);
    p1[i] = swapped::exponent(in + 4 * i + 2);
  }
}

void merge2(const std::uint8_t* const* planes, std::size_t count, std::uint8_t* HWY_RESTRICT out) {
  const std::uint8_t *HWY_RESTRICT p0 = planes[0], *HWY_RESTRICT p1 = planes[1];
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  const Block zero = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto mantissa = hn::LoadU(d, p0 + i), exponent = hn::LoadU(d, p1 + i);
    hn::StoreInterleaved4(zero, zero, low_of(mantissa, exponent), high_of(mantissa, exponent), d, out + 4 * i);
  }
  for (; i < count; ++i) {
    out[4 * i] = out[4 * i + 1] = 0;
    swapped::put(p0[i], p1[i], out + 4 * i + 2);
  }
}

void take_halves(const std::uint8_t* HWY_RESTRICT in, std::size_t count, std::uint8_t* HWY_RESTRICT out) {
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    Block b0, b1, b2, b3;
    hn::LoadInterleaved4(d, in + 4 * i, b0, b1, b2, b3);
    hn::StoreInterleaved2(b2, b3, d, out + 2 * i);
  }
  for (; i < count; ++i) std::memcpy(out + 2 * i, in + 4 * i + 2, 2);
}

void put_halves(const std::uint8_t* HWY_RESTRICT in, std::size_t count, std::uint8_t* HWY_RESTRICT out) {
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  const Block zero = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    Block low, high;
    hn::LoadInterleaved2(d, in + 2 * i, low, high);
    hn::StoreInterleaved4(zero, zero, low, high, d, out + 4 * i);
  }
  for (; i < count; ++i) {
    out[4 * i] = out[4 * i + 1] = 0;
    std::memcpy(out + 4 * i + 2, in + 2 * i, 2);
  }
}

}  // namespace
}  // namespace strata::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata {
namespace {

HWY_EXPORT(low_bits);
HWY_EXPORT(split4);
HWY_EXPORT(merge4);
HWY_EXPORT(split2);
HWY_EXPORT(merge2);
HWY_EXPORT(take_halves);
HWY_EXPORT(put_halves);

static_assert(std::endian::native == std::endian::little, "files hold the memory of little-endian machines");

const std::uint8_t* as_bytes_of(std::span<const float> values) {
  return reinterpret_cast<const std::uint8_t*>(values.data());
}
std::uint8_t* as_bytes_of(std::span<float> values) { return reinterpret_cast<std::uint8_t*>(values.data()); }
std::uint8_t* u8(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }
const std::uint8_t* u8(const std::byte* bytes) { return reinterpret_cast<const std::uint8_t*>(bytes); }

}  // namespace

bool exactly_bf16(std::span<const float> values) {
  constexpr std::size_t step = 4096;  // most frames that are not BF16 show it in their first values
  for (std::size_t i = 0; i < values.size(); i += step) {
    const std::span<const float> part = values.subspan(i, std::min(step, values.size() - i));
    if (HWY_DYNAMIC_DISPATCH(low_bits)(as_bytes_of(part), part.size()) != 0) return false;
  }
  return true;
}

void split_planes(std::span<const float> values, std::byte* const (&planes)[4]) {
  std::uint8_t* const to[4] = {u8(planes[0]), u8(planes[1]), u8(planes[2]), u8(planes[3])};
  HWY_DYNAMIC_DISPATCH(split4)(as_bytes_of(values), values.size(), to);
}

void merge_planes(const std::byte* const (&planes)[4], std::span<float> values) {
  const std::uint8_t* const from[4] = {u8(planes[0]), u8(planes[1]), u8(planes[2]), u8(planes[3])};
  HWY_DYNAMIC_DISPATCH(merge4)(from, values.size(), as_bytes_of(values));
}

void split_bf16_planes(std::span<const float> values, std::byte* const (&planes)[2]) {
  std::uint8_t* const to[2] = {u8(planes[0]), u8(planes[1])};
  HWY_DYNAMIC_DISPATCH(split2)(as_bytes_of(values), values.size(), to);
}

void merge_bf16_planes(const std::byte* const (&planes)[2], std::span<float> values) {
  const std::uint8_t* const from[2] = {u8(planes[0]), u8(planes[1])};
  HWY_DYNAMIC_DISPATCH(merge2)(from, values.size(), as_bytes_of(values));
}

void take_upper_halves(std::span<const float> values, std::byte* halves) {
  HWY_DYNAMIC_DISPATCH(take_halves)(as_bytes_of(values), values.size(), u8(halves));
}

void put_upper_halves(const std::byte* halves, std::span<float> values) {
  HWY_DYNAMIC_DISPATCH(put_halves)(u8(halves), values.size(), as_bytes_of(values));
}

}  // namespace strata
#endif
