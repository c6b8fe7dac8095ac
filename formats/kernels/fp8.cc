#include "formats/kernels/fp8.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "formats/kernels/minifloat.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/fp8.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/arithmetic-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

void encode(const float* HWY_RESTRICT x, std::int64_t count, float scale, std::uint8_t* HWY_RESTRICT codes) {
  const Floats d;
  const Bytes bytes;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::Div(hn::LoadU(d, x + i), hn::Set(d, scale));
    hn::StoreU(hn::DemoteTo(bytes, e4m3_codes(value)), bytes, codes + i);
  }
  for (; i < n; ++i) codes[i] = encode_e4m3(x[i] / scale);
}

void decode(const std::uint8_t* HWY_RESTRICT codes, float scale, std::int64_t count, float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Bytes bytes;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto code = hn::PromoteTo(w, hn::LoadU(bytes, codes + i));
    const auto nan = hn::RebindMask(d, hn::Eq(hn::And(code, hn::Set(w, 0x7f)), hn::Set(w, 0x7f)));
    const auto value = hn::Mul(e4m3_values(code), hn::Set(d, scale));
    hn::StoreU(hn::IfThenElse(nan, hn::NaN(d), value), d, out + i);
  }
  for (; i < n; ++i) out[i] = decode_e4m3(codes[i]) * scale;
}

// Adding zero is what compressed-tensors does with its zero point: -0 becomes 0.
template <Arithmetic arithmetic>
void encode_parity(const float* HWY_RESTRICT x, std::int64_t count, float scale, std::uint8_t* HWY_RESTRICT codes) {
  const Floats d;
  const Bytes bytes;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  const auto code_of = [&](const float* from) HWY_ATTR {
    const auto quotient = round_in<arithmetic>(hn::Div(hn::LoadU(d, from), hn::Set(d, scale)));
    return hn::DemoteTo(bytes, e4m3_codes(hn::Add(quotient, hn::Zero(d))));
  };
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(code_of(x + i), bytes, codes + i);
  if (i == n) return;
  HWY_ALIGN float last[16] = {};
  HWY_ALIGN std::uint8_t last_codes[16];
  std::copy(x + i, x + n, last);
  hn::Store(code_of(last), bytes, last_codes);
  std::copy(last_codes, last_codes + (n - i), codes + i);
}

void encode_in(Arithmetic arithmetic, const float* x, std::int64_t count, float scale, std::uint8_t* codes) {
  if (arithmetic == Arithmetic::bf16)
    encode_parity<Arithmetic::bf16>(x, count, scale, codes);
  else if (arithmetic == Arithmetic::f16)
    encode_parity<Arithmetic::f16>(x, count, scale, codes);
  else
    encode_parity<Arithmetic::f32>(x, count, scale, codes);
}

void fake_quantize_by(float* x, std::int64_t count, float scale) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::Add(hn::Div(hn::LoadU(d, x + i), hn::Set(d, scale)), hn::Zero(d));
    hn::StoreU(hn::Mul(e4m3_values(e4m3_codes(value)), hn::Set(d, scale)), d, x + i);
  }
  for (; i < n; ++i) x[i] = decode_e4m3(encode_e4m3(x[i] / scale + 0.0f)) * scale;
}

void fake_quantize(float* x, std::int64_t count, float least_scale) {
  const float scale = std::max(magnitude_max_tail(x, static_cast<std::size_t>(count)) / e4m3_max, least_scale);
  fake_quantize_by(x, count, scale == 0 ? std::numeric_limits<float>::epsilon() : scale);
}

// |x| / scale in [0, 448] rounded to E4M3, as a float: the bits below the third of the mantissa are rounded
// away, and below 2^-6 an addition rounds to steps of 2^-9.
HWY_INLINE hn::Vec<Floats> e4m3_rounded(hn::Vec<Floats> magnitude) {
  const Floats d;
  const Words w;
  const auto bits = hn::BitCast(w, magnitude);
  const auto odd = hn::And(hn::ShiftRight<20>(bits), hn::Set(w, 1));
  const auto up = hn::Add(hn::Add(bits, hn::Set(w, (1 << 19) - 1)), odd);
  const auto normal = hn::BitCast(d, hn::And(up, hn::Set(w, ~((1 << 20) - 1))));
  const auto magic = hn::Set(d, 0x1p14f);
  const auto subnormal = hn::Sub(hn::Add(magnitude, magic), magic);
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0x1p-6f)), subnormal, normal);
}

template <bool weighted>
double error_of(const float* x, const float* column_weight, std::size_t count, float by) {
  const Floats d;
  const auto scale = hn::Set(d, by), most = hn::Set(d, e4m3_max);
  return sum_of_16<weighted>(x, column_weight, count, [&](hn::Vec<Floats> value) HWY_ATTR {
    const auto magnitude = hn::Abs(value);
    const auto code = e4m3_rounded(hn::Min(hn::Div(magnitude, scale), most));
    const auto error = hn::Sub(magnitude, hn::Mul(code, scale));
    return hn::Mul(error, error);
  });
}

double error_by(const float* x, const float* column_weight, std::int64_t count, float scale) {
  return column_weight == nullptr ? error_of<false>(x, column_weight, static_cast<std::size_t>(count), scale)
                                  : error_of<true>(x, column_weight, static_cast<std::size_t>(count), scale);
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(encode);
HWY_EXPORT(decode);
HWY_EXPORT(fake_quantize);
HWY_EXPORT(encode_in);
HWY_EXPORT(fake_quantize_by);
HWY_EXPORT(error_by);

void fp8_encode(const float* x, std::int64_t count, float scale, std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(encode)(x, count, scale, codes);
}

void fp8_decode(const std::uint8_t* codes, float scale, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(codes, scale, count, out);
}

void fp8_encode_in(Arithmetic arithmetic, const float* x, std::int64_t count, float scale, std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(encode_in)(arithmetic, x, count, scale, codes);
}

void fp8_fake_quantize_static(float* x, std::int64_t count, float scale) {
  HWY_DYNAMIC_DISPATCH(fake_quantize_by)(x, count, scale);
}

double fp8_error(const float* x, const float* column_weight, std::int64_t count, float scale) {
  return HWY_DYNAMIC_DISPATCH(error_by)(x, column_weight, count, scale);
}

void fp8_fake_quantize(float* x, std::int64_t count, float least_scale) {
  HWY_DYNAMIC_DISPATCH(fake_quantize)(x, count, least_scale);
}

}  // namespace strata::kernels
#endif
