#include "formats/kernels/mx.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "formats/kernels/convert.h"
#include "formats/kernels/minifloat.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/mx.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/minifloat-inl.h"
#include "formats/kernels/mx-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

constexpr std::size_t group = 32;
constexpr std::size_t chunk = 64;  // groups in flight, so that the stages work on the first-level cache

// Of up to `chunk` groups: the largest magnitudes as bits, the scale bytes, and what w is multiplied with.
struct Groups {
  std::size_t count;
  HWY_ALIGN std::int32_t peaks[chunk];
  HWY_ALIGN std::int32_t bytes[chunk];
  HWY_ALIGN float inverse[chunk];
};

HWY_INLINE void find_peaks(const float* HWY_RESTRICT x, Groups& groups) {
  const Words w;
  const auto* const bits = reinterpret_cast<const std::int32_t*>(x);
  for (std::size_t g = 0; g < groups.count; ++g) {
    auto most = hn::Zero(w);
    for (std::size_t i = g * group; i < (g + 1) * group; i += hn::Lanes(w))
      most = hn::Max(most, hn::And(hn::LoadU(w, bits + i), hn::Set(w, 0x7fffffff)));
    groups.peaks[g] = hn::GetLane(hn::MaxOfLanes(w, most));
  }
  for (std::size_t g = groups.count; g < chunk; ++g) groups.peaks[g] = 0;
}

// Exponent fields of the peaks after rounding to a power of two.
template <class Element>
HWY_INLINE hn::Vec<Words> peak_exponents(hn::Vec<Words> peaks) {
  return hn::ShiftRight<23>(hn::Add(peaks, hn::Set(Words(), 1 << (22 - Element::round_bits))));
}

// The bits of the mantissa of the largest element.
template <class Element>
HWY_INLINE hn::Vec<Words> max_mantissa() {
  return hn::And(hn::BitCast(Words(), hn::Set(Floats(), Element::max)), hn::Set(Words(), 0x7fffff));
}

template <class Element>
HWY_INLINE void set_scales(Groups& groups) {
  const Words w;
  for (std::size_t g = 0; g < groups.count; g += hn::Lanes(w)) {
    const auto exponent = peak_exponents<Element>(hn::Load(w, groups.peaks + g));
    const auto byte = hn::Max(hn::Sub(exponent, hn::Set(w, Element::scale_offset)), hn::Set(w, 1));
    hn::Store(byte, w, groups.bytes + g);
    hn::Store(power_of_two(hn::Sub(hn::Set(w, 254), byte)), Floats(), groups.inverse + g);
  }
}

// compressed-tensors computes in the type of the weight. A peak that rounds past its range has an infinite
// scale, which makes zeros of all and is stored as 127. Of float16 the scales of subnormal peaks are zero,
// for which 1 stands in; of the others the smallest power is 2^-127.
template <class Element>
HWY_INLINE void set_their_scales(MxSource source, Groups& groups) {
  const Floats d;
  const Words w;
  const bool half = source == MxSource::f16;
  const auto range = hn::Set(w, half ? 127 + 15 : 254), lowest = hn::Set(w, half ? 127 - 14 : 0);
  const float normal = half ? 0x1p-14f * (1.0f - 0.5f / static_cast<float>(1 << Element::round_bits)) : 0.0f;
  for (std::size_t g = 0; g < groups.count; g += hn::Lanes(w)) {
    const auto peak = hn::Load(w, groups.peaks + g);
    const auto exponent = peak_exponents<Element>(peak);
    const auto infinite = hn::Gt(exponent, range);
    const auto lost = hn::RebindMask(w, hn::Lt(hn::BitCast(d, peak), hn::Set(d, normal)));
    const auto byte = hn::Max(hn::Sub(hn::Max(exponent, lowest), hn::Set(w, Element::scale_offset)), hn::Zero(w));
    const auto stored = hn::IfThenElse(hn::Or(infinite, lost), hn::Set(w, 127), byte);
    const auto inverse = power_of_two(hn::Sub(hn::Set(w, 254), stored));
    hn::Store(stored, w, groups.bytes + g);
    hn::Store(hn::IfThenElse(hn::RebindMask(d, infinite), hn::Zero(d), inverse), d, groups.inverse + g);
  }
}

// The least exponent with which the peak does not saturate. A group whose scale would be 2^-127 is zero.
template <class Element>
HWY_INLINE void set_upward_scales(Groups& groups) {
  const Words w;
  const auto below_next = hn::Sub(hn::Set(w, 0x7fffff), max_mantissa<Element>());
  for (std::size_t g = 0; g < groups.count; g += hn::Lanes(w)) {
    const auto exponent = hn::ShiftRight<23>(hn::Add(hn::Load(w, groups.peaks + g), below_next));
    const auto byte = hn::Max(hn::Sub(exponent, hn::Set(w, Element::scale_offset)), hn::Zero(w));
    const auto inverse = power_of_two(hn::Sub(hn::Set(w, 254), byte));
    hn::Store(byte, w, groups.bytes + g);
    hn::Store(hn::IfThenZeroElse(hn::RebindMask(Floats(), hn::Eq(byte, hn::Zero(w))), inverse), Floats(),
              groups.inverse + g);
  }
}

// The squared error of a group in units of its scale, which keeps it in range. The order of the sum is that
// of 16 lanes on every CPU.
template <class Element>
HWY_INLINE float group_error(const float* HWY_RESTRICT x, const float* HWY_RESTRICT weight, float inverse) {
  const Floats d;
  HWY_ALIGN float sums[16];
  for (std::size_t lane = 0; lane < 16; lane += hn::Lanes(d)) {
    auto sum = hn::Zero(d);
    for (std::size_t i = lane; i < group; i += 16) {
      const auto magnitude = hn::Abs(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, inverse)));
      const auto error = hn::Sub(magnitude, element_rounded<Element>(magnitude));
      auto square = hn::Mul(error, error);
      if (weight != nullptr) square = hn::Mul(square, hn::LoadU(d, weight + i));
      sum = hn::Add(sum, square);
    }
    hn::Store(sum, d, sums + lane);
  }
  for (std::size_t half = 8; half != 2; half /= 2)
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

// Of the exponent, the next lower and the next higher the one with the least error. The higher one need not be
// tried: up to where peaks round to the next power of two, each of its values is one of the lower exponent too,
// so that no weight comes nearer. The margin is above the rounding of the sums: the choice is never worse than
// the one it replaces.
template <class Element>
HWY_INLINE void search_scales(const float* HWY_RESTRICT x, const float* HWY_RESTRICT weight, Groups& groups) {
  constexpr float margin = 1.0f - 0x1p-17f, unit = 0.25f;  // a squared step of the lower exponent
  for (std::size_t g = 0; g < groups.count; ++g) {
    const std::int32_t lower = groups.bytes[g] - 1;
    if (lower < 1) continue;
    const float inverse = decode_e8m0(static_cast<std::uint8_t>(254 - lower));
    const float* const weights = weight == nullptr ? nullptr : weight + g * group;
    const float error = group_error<Element>(x + g * group, weights, groups.inverse[g]);
    if (group_error<Element>(x + g * group, weights, inverse) * unit >= error * margin) continue;
    groups.bytes[g] = lower;
    groups.inverse[g] = inverse;
  }
}

// compressed-tensors multiplies the FP4 magnitude with sign(w / scale): a quotient that is zero in the type of
// the weight, up to half of its smallest number, has no sign. In FP8 its zero point, which is added, takes it.
constexpr float signless(MxSource source) {
  return source == MxSource::f32 ? 0.0f : source == MxSource::bf16 ? 0x1p-134f : 0x1p-25f;
}

template <class Element, bool drop_signs>
HWY_INLINE void encode_groups(const float* HWY_RESTRICT x, const Groups& groups, float zero,
                              std::uint8_t* HWY_RESTRICT codes) {
  const Floats d;
  const Bytes bytes;
  for (std::size_t g = 0; g < groups.count; ++g) {
    const auto inverse = hn::Set(d, groups.inverse[g]);
    for (std::size_t i = g * group; i < (g + 1) * group; i += hn::Lanes(d)) {
      auto quotient = hn::Mul(hn::LoadU(d, x + i), inverse);
      if constexpr (drop_signs) quotient = hn::IfThenElseZero(hn::Gt(hn::Abs(quotient), hn::Set(d, zero)), quotient);
      hn::StoreU(hn::DemoteTo(bytes, element_codes<Element>(quotient)), bytes, codes + i);
    }
  }
}

template <class Element>
HWY_INLINE void pack(std::uint8_t* HWY_RESTRICT codes, std::size_t count, std::uint8_t* HWY_RESTRICT out) {
  if constexpr (Element::code_bits == 4)
    pack_nibbles(codes, count, out);
  else
    pack_sixes(codes, count, out);
}

HWY_INLINE const float* widen(const MxWeight& weight, std::size_t first, std::size_t count, float* buffer) {
  if (weight.source == MxSource::f32) return static_cast<const float*>(weight.values) + first;
  const auto* const halves = static_cast<const std::uint16_t*>(weight.values) + first;
  if (weight.source == MxSource::bf16)
    widen_bf16(halves, static_cast<std::int64_t>(count), buffer);
  else
    widen_f16(halves, static_cast<std::int64_t>(count), buffer);
  return buffer;
}

template <class Element>
void encode(const MxWeight& weight, MxRule rule, std::uint8_t* HWY_RESTRICT out, std::uint8_t* HWY_RESTRICT scales) {
  constexpr std::size_t code_bytes = group * Element::code_bits / 8;
  HWY_ALIGN float wide[chunk * group];
  HWY_ALIGN std::uint8_t buffer[chunk * group];
  Groups groups;
  const std::size_t total = static_cast<std::size_t>(weight.count) / group;
  for (std::size_t first = 0; first < total; first += chunk) {
    groups.count = std::min(chunk, total - first);
    const float* const x = widen(weight, first * group, groups.count * group, wide);
    std::uint8_t* const codes = Element::code_bits == 8 ? out + first * group : buffer;
    find_peaks(x, groups);
    if (rule == MxRule::compressed_tensors)
      set_their_scales<Element>(weight.source, groups);
    else
      set_scales<Element>(groups);
    if (rule == MxRule::search)
      search_scales<Element>(x, weight.column_weight == nullptr ? nullptr : weight.column_weight + first * group,
                             groups);
    if (Element::code_bits != 6 && rule == MxRule::compressed_tensors)
      encode_groups<Element, true>(x, groups, signless(weight.source), codes);
    else
      encode_groups<Element, false>(x, groups, 0, codes);
    if constexpr (Element::code_bits != 8) pack<Element>(codes, groups.count * group, out + first * code_bytes);
    for (std::size_t g = 0; g < groups.count; ++g) scales[first + g] = static_cast<std::uint8_t>(groups.bytes[g]);
  }
}

template <class Element>
HWY_INLINE void decode_group(const std::uint8_t* HWY_RESTRICT codes, float power, float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Bytes bytes;
  const auto scale = hn::Set(d, power);
  for (std::size_t i = 0; i < group; i += hn::Lanes(d)) {
    const auto code = hn::PromoteTo(w, hn::LoadU(bytes, codes + i));
    auto value = element_values<Element>(code);
    if constexpr (Element::code_bits == 8) {
      const auto nan = hn::Eq(hn::And(code, hn::Set(w, 0x7f)), hn::Set(w, 0x7f));
      value = hn::IfThenElse(hn::RebindMask(d, nan), hn::NaN(d), value);
    }
    hn::StoreU(hn::Mul(value, scale), d, out + i);
  }
}

template <class Element>
void decode(const std::uint8_t* HWY_RESTRICT packed, const std::uint8_t* HWY_RESTRICT scales, std::int64_t count,
            float* HWY_RESTRICT out) {
  constexpr std::size_t code_bytes = group * Element::code_bits / 8;
  HWY_ALIGN std::uint8_t buffer[chunk * group];
  const std::size_t total = static_cast<std::size_t>(count) / group;
  for (std::size_t first = 0; first < total; first += chunk) {
    const std::size_t groups = std::min(chunk, total - first);
    const std::uint8_t* codes = packed + first * code_bytes;
    if constexpr (Element::code_bits == 4) unpack_nibbles(codes, groups * group, buffer);
    if constexpr (Element::code_bits == 6) unpack_sixes(codes, groups * group, buffer);
    if constexpr (Element::code_bits != 8) codes = buffer;
    for (std::size_t g = 0; g < groups; ++g)
      decode_group<Element>(codes + g * group, decode_e8m0(scales[first + g]), out + (first + g) * group);
  }
}

// Adding zero is what compressed-tensors does with its zero point: -0 becomes 0.
template <class Element>
void fake_quantize(float* x, std::int64_t count, MxInputRule rule) {
  const Floats d;
  Groups groups;
  const std::size_t total = static_cast<std::size_t>(count) / group;
  for (std::size_t first = 0; first < total; first += chunk) {
    groups.count = std::min(chunk, total - first);
    float* const from = x + first * group;
    find_peaks(from, groups);
    if (rule == MxInputRule::upward)
      set_upward_scales<Element>(groups);
    else
      set_their_scales<Element>(MxSource::f32, groups);
    for (std::size_t g = 0; g < groups.count; ++g) {
      const auto inverse = hn::Set(d, groups.inverse[g]);
      const bool infinite = groups.inverse[g] == 0 && rule == MxInputRule::compressed_tensors;
      const auto scale = infinite ? hn::Inf(d) : power_of_two(hn::Set(Words(), groups.bytes[g]));
      for (std::size_t i = g * group; i < (g + 1) * group; i += hn::Lanes(d)) {
        const auto quotient = hn::Add(hn::Mul(hn::LoadU(d, from + i), inverse), hn::Zero(d));
        const auto value = hn::CopySign(element_rounded<Element>(hn::Abs(quotient)), quotient);
        hn::StoreU(hn::Mul(value, scale), d, from + i);
      }
    }
  }
}

void encode_any(const MxWeight& weight, MxElement element, MxRule rule, std::uint8_t* codes, std::uint8_t* scales) {
  if (element == MxElement::e2m1) return encode<E2M1>(weight, rule, codes, scales);
  if (element == MxElement::e2m3) return encode<E2M3>(weight, rule, codes, scales);
  if (element == MxElement::e3m2) return encode<E3M2>(weight, rule, codes, scales);
  encode<E4M3>(weight, rule, codes, scales);
}

void decode_any(const std::uint8_t* codes, const std::uint8_t* scales, MxElement element, std::int64_t count,
                float* out) {
  if (element == MxElement::e2m1) return decode<E2M1>(codes, scales, count, out);
  if (element == MxElement::e2m3) return decode<E2M3>(codes, scales, count, out);
  if (element == MxElement::e3m2) return decode<E3M2>(codes, scales, count, out);
  decode<E4M3>(codes, scales, count, out);
}

void fake_quantize_any(float* x, std::int64_t count, MxElement element, MxInputRule rule) {
  if (element == MxElement::e2m1) return fake_quantize<E2M1>(x, count, rule);
  if (element == MxElement::e2m3) return fake_quantize<E2M3>(x, count, rule);
  if (element == MxElement::e3m2) return fake_quantize<E3M2>(x, count, rule);
  fake_quantize<E4M3>(x, count, rule);
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(encode_any);
HWY_EXPORT(decode_any);
HWY_EXPORT(fake_quantize_any);

void mx_encode(const MxWeight& weight, MxElement element, MxRule rule, std::uint8_t* codes, std::uint8_t* scales) {
  HWY_DYNAMIC_DISPATCH(encode_any)(weight, element, rule, codes, scales);
}

void mx_decode(const std::uint8_t* codes, const std::uint8_t* scales, MxElement element, std::int64_t count,
               float* out) {
  HWY_DYNAMIC_DISPATCH(decode_any)(codes, scales, element, count, out);
}

void mx_fake_quantize(float* x, std::int64_t count, MxElement element, MxInputRule rule) {
  HWY_DYNAMIC_DISPATCH(fake_quantize_any)(x, count, element, rule);
}

}  // namespace strata::kernels
#endif
