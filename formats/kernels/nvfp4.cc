#include "formats/kernels/nvfp4.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "formats/kernels/minifloat.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/nvfp4.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/arithmetic-inl.h"
#include "formats/kernels/nvfp4-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

HWY_INLINE hn::Vec<Floats> sixth_in(Arithmetic arithmetic, hn::Vec<Floats> peak) {
  const auto sixth = hn::Div(peak, hn::Set(Floats(), 6.0f));
  if (arithmetic == Arithmetic::bf16) return round_in<Arithmetic::bf16>(sixth);
  if (arithmetic == Arithmetic::f16) return round_in<Arithmetic::f16>(sixth);
  return sixth;
}

// Scale codes as compressed-tensors computes them, for its weights and for activations.
HWY_INLINE hn::Vec<Words> their_scale_codes(hn::Vec<Floats> peak, float global_scale, Arithmetic arithmetic) {
  const Words w;
  const auto code = e4m3_codes(hn::Mul(sixth_in(arithmetic, peak), hn::Set(Floats(), global_scale)));
  return hn::IfThenElse(hn::Eq(code, hn::Zero(w)), hn::Set(w, zero_group_code), code);
}

float encode(const float* HWY_RESTRICT x, std::int64_t count, float global_scale, std::uint8_t* HWY_RESTRICT packed,
             std::uint8_t* HWY_RESTRICT scales) {
  const Floats d;
  const Words w;
  HWY_ALIGN float peaks[nv_chunk] = {};
  HWY_ALIGN std::int32_t codes[nv_chunk];
  const std::size_t total = static_cast<std::size_t>(count) / nv_group;
  auto most = hn::Zero(d);
  for (std::size_t first = 0; first < total; first += nv_chunk) {
    const std::size_t groups = std::min(nv_chunk, total - first);
    const float* const from = x + first * nv_group;
    group_peaks(from, groups, peaks);
    for (std::size_t g = 0; g < groups; g += hn::Lanes(d)) {
      const auto peak = hn::Load(d, peaks + g);  // behind the last group: those of the chunk before
      most = hn::Max(most, peak);
      const auto wanted = hn::Mul(hn::Div(peak, hn::Set(d, 6.0f)), hn::Set(d, global_scale));
      hn::Store(minmax_scale_codes(peak, wanted), w, codes + g);
    }
    pack_chunk<true>(from, groups, global_scale, codes, packed + first * nv_group / 2, scales + first);
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

float encode_as_theirs(const float* HWY_RESTRICT x, std::int64_t count, float global_scale, Arithmetic arithmetic,
                       std::uint8_t* HWY_RESTRICT packed, std::uint8_t* HWY_RESTRICT scales) {
  const Floats d;
  const Words w;
  HWY_ALIGN float peaks[nv_chunk] = {};
  HWY_ALIGN std::int32_t codes[nv_chunk];
  const std::size_t total = static_cast<std::size_t>(count) / nv_group;
  auto most = hn::Zero(d);
  for (std::size_t first = 0; first < total; first += nv_chunk) {
    const std::size_t groups = std::min(nv_chunk, total - first);
    const float* const from = x + first * nv_group;
    group_peaks(from, groups, peaks);
    for (std::size_t g = 0; g < groups; g += hn::Lanes(d)) {
      const auto peak = hn::Load(d, peaks + g);
      most = hn::Max(most, peak);
      hn::Store(their_scale_codes(peak, global_scale, arithmetic), w, codes + g);
    }
    pack_chunk<false>(from, groups, global_scale, codes, packed + first * nv_group / 2, scales + first);
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

void fake_quantize(float* HWY_RESTRICT x, std::int64_t count, float global_scale) {
  const Floats d;
  HWY_ALIGN float peaks[nv_chunk] = {};
  HWY_ALIGN float effective[nv_chunk];
  const std::size_t total = static_cast<std::size_t>(count) / nv_group;
  for (std::size_t first = 0; first < total; first += nv_chunk) {
    const std::size_t groups = std::min(nv_chunk, total - first);
    float* const from = x + first * nv_group;
    group_peaks(from, groups, peaks);
    for (std::size_t g = 0; g < groups; g += hn::Lanes(d)) {
      const auto code = their_scale_codes(hn::Load(d, peaks + g), global_scale, Arithmetic::f32);
      hn::Store(hn::Div(e4m3_values(code), hn::Set(d, global_scale)), d, effective + g);
    }
    for (std::size_t g = 0; g < groups; ++g) {
      const auto scale = hn::Set(d, effective[g]);
      for (std::size_t i = g * nv_group; i < (g + 1) * nv_group; i += hn::Lanes(d)) {
        const auto quotient = hn::Add(hn::Div(hn::LoadU(d, from + i), scale), hn::Zero(d));  // -0 becomes 0
        const auto value = hn::CopySign(e2m1_rounded(hn::Abs(quotient)), quotient);
        hn::StoreU(hn::Mul(value, scale), d, from + i);
      }
    }
  }
}

#if HWY_TARGET <= HWY_AVX3  // of x86: the better, the smaller

// One vector holds a group, and one permutation of the table looks it up.
void decode(const std::uint8_t* HWY_RESTRICT packed, const float* HWY_RESTRICT scales, std::int64_t count,
            float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const hn::Half<Words> half;
  HWY_ALIGN static constexpr float values[16] = {0,     0.5f,  1,     1.5f,  2,     3,     4,     6,
                                                 -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
  HWY_ALIGN static constexpr std::int32_t places[16] = {0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28};
  const auto table = hn::Load(d, values);
  const hn::RebindToUnsigned<Words> u;
  const auto shifts = hn::BitCast(u, hn::Load(w, places));
  for (std::size_t g = 0; g < static_cast<std::size_t>(count) / nv_group; ++g) {
    std::int32_t words[2];
    std::memcpy(words, packed + g * nv_group / 2, sizeof words);
    const auto both = hn::BitCast(u, hn::Combine(w, hn::Set(half, words[1]), hn::Set(half, words[0])));
    const auto codes = hn::And(hn::Shr(both, shifts), hn::Set(u, 15));
    const auto value = hn::TableLookupLanes(table, hn::IndicesFromVec(d, hn::BitCast(w, codes)));
    hn::StoreU(hn::Mul(value, hn::Set(d, scales[g])), d, out + g * nv_group);
  }
}

#elif HWY_TARGET == HWY_SCALAR

void decode(const std::uint8_t* HWY_RESTRICT packed, const float* HWY_RESTRICT scales, std::int64_t count,
            float* HWY_RESTRICT out) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); i += 2) {
    const float scale = scales[i / nv_group];
    out[i] = decode_e2m1(packed[i / 2] & 15u) * scale;
    out[i + 1] = decode_e2m1(static_cast<std::uint8_t>(packed[i / 2] >> 4)) * scale;
  }
}

#else

// Every value is a BF16 number: two lookups among 16 bytes give its halves.
void decode(const std::uint8_t* HWY_RESTRICT packed, const float* HWY_RESTRICT scales, std::int64_t count,
            float* HWY_RESTRICT out) {
  const hn::Full128<std::uint8_t> bytes;
  const hn::Full128<std::uint16_t> halves;
  const hn::Full128<float> d;
  HWY_ALIGN static constexpr std::uint8_t high_bytes[16] = {0,    0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40,
                                                            0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0};
  HWY_ALIGN static constexpr std::uint8_t low_bytes[16] = {0, 0, 0x80, 0xc0, 0, 0x40, 0x80, 0xc0,
                                                           0, 0, 0x80, 0xc0, 0, 0x40, 0x80, 0xc0};
  const auto high_table = hn::Load(bytes, high_bytes), low_table = hn::Load(bytes, low_bytes);
  const auto store = [&](auto bf16, hn::Vec<decltype(d)> scale, float* to) HWY_ATTR {
    const auto none = hn::Zero(halves);
    hn::StoreU(hn::Mul(hn::BitCast(d, hn::InterleaveLower(halves, none, bf16)), scale), d, to);
    hn::StoreU(hn::Mul(hn::BitCast(d, hn::InterleaveUpper(halves, none, bf16)), scale), d, to + 4);
  };
  for (std::size_t g = 0; g < static_cast<std::size_t>(count) / nv_group; ++g) {
    HWY_ALIGN std::uint8_t pairs[16] = {};
    std::memcpy(pairs, packed + g * nv_group / 2, nv_group / 2);
    const auto both = hn::Load(bytes, pairs);
    const auto even = hn::And(both, hn::Set(bytes, 15));
    const auto odd = hn::BitCast(bytes, hn::And(hn::ShiftRight<4>(hn::BitCast(halves, both)), hn::Set(halves, 0x0f0f)));
    const auto codes = hn::InterleaveLower(bytes, even, odd);
    const auto low = hn::TableLookupBytes(low_table, codes), high = hn::TableLookupBytes(high_table, codes);
    const auto scale = hn::Set(d, scales[g]);
    store(hn::BitCast(halves, hn::InterleaveLower(bytes, low, high)), scale, out + g * nv_group);
    store(hn::BitCast(halves, hn::InterleaveUpper(bytes, low, high)), scale, out + g * nv_group + 8);
  }
}

#endif

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(encode);
HWY_EXPORT(encode_as_theirs);
HWY_EXPORT(decode);
HWY_EXPORT(fake_quantize);

float nvfp4_encode(const float* x, std::int64_t count, float global_scale, std::uint8_t* packed, std::uint8_t* scales) {
  return HWY_DYNAMIC_DISPATCH(encode)(x, count, global_scale, packed, scales);
}

float nvfp4_encode_as_compressed_tensors(const float* x, std::int64_t count, float global_scale, Arithmetic arithmetic,
                                         std::uint8_t* packed, std::uint8_t* scales) {
  return HWY_DYNAMIC_DISPATCH(encode_as_theirs)(x, count, global_scale, arithmetic, packed, scales);
}

void nvfp4_decode(const std::uint8_t* packed, const float* scales, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(packed, scales, count, out);
}

void nvfp4_fake_quantize(float* x, std::int64_t count, float global_scale) {
  HWY_DYNAMIC_DISPATCH(fake_quantize)(x, count, global_scale);
}

}  // namespace strata::kernels
#endif
