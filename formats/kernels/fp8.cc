#include "formats/kernels/fp8.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "formats/kernels/minifloat.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/fp8.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/minifloat-inl.h"

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

void fake_quantize(float* x, std::int64_t count) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d), n = static_cast<std::size_t>(count);
  const float peak_scale = magnitude_max_tail(x, n) / e4m3_max;
  const float scale = peak_scale == 0 ? std::numeric_limits<float>::epsilon() : peak_scale;
  // Adding zero is what compressed-tensors does with its zero point: -0 becomes 0.
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::Add(hn::Div(hn::LoadU(d, x + i), hn::Set(d, scale)), hn::Zero(d));
    hn::StoreU(hn::Mul(e4m3_values(e4m3_codes(value)), hn::Set(d, scale)), d, x + i);
  }
  for (; i < n; ++i) x[i] = decode_e4m3(encode_e4m3(x[i] / scale + 0.0f)) * scale;
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {

HWY_EXPORT(encode);
HWY_EXPORT(decode);
HWY_EXPORT(fake_quantize);

void fp8_encode(const float* x, std::int64_t count, float scale, std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(encode)(x, count, scale, codes);
}

void fp8_decode(const std::uint8_t* codes, float scale, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(codes, scale, count, out);
}

void fp8_fake_quantize(float* x, std::int64_t count) { HWY_DYNAMIC_DISPATCH(fake_quantize)(x, count); }

}  // namespace strata::kernels
#endif
