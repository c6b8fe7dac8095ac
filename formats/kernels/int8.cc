#include "formats/kernels/int8.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/int8.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/integer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

void encode(const float* HWY_RESTRICT x, std::size_t count, float scale, int flip, Arithmetic arithmetic,
            std::uint8_t* HWY_RESTRICT codes) {
  if (arithmetic == Arithmetic::bf16)
    integer_codes<8, Arithmetic::bf16>(x, count, scale, 0.0f, flip, codes);
  else if (arithmetic == Arithmetic::f16)
    integer_codes<8, Arithmetic::f16>(x, count, scale, 0.0f, flip, codes);
  else
    integer_codes<8, Arithmetic::f32>(x, count, scale, 0.0f, flip, codes);
}

void decode(const std::uint8_t* HWY_RESTRICT codes, std::size_t count, float scale, int flip, float* HWY_RESTRICT out) {
  const Floats d;
  const Words w;
  const Bytes bytes;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto code = hn::Xor(hn::PromoteTo(w, hn::LoadU(bytes, codes + i)), hn::Set(w, flip));
    hn::StoreU(hn::Mul(hn::ConvertTo(d, hn::Sub(code, hn::Set(w, 128))), hn::Set(d, scale)), d, out + i);
  }
  for (; i < count; ++i) out[i] = static_cast<float>((codes[i] ^ flip) - 128) * scale;
}

// Round keeps the sign of what becomes zero, as compressed-tensors does.
void fake_quantize(float* x, std::size_t count, float steps) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const float peak_scale = magnitude_max_tail(x, count) / steps;
  const auto scale = hn::Set(d, peak_scale == 0 ? epsilon(Arithmetic::f32) : peak_scale);
  const auto served = [&](const float* from) HWY_ATTR {
    // Adding zero is what compressed-tensors does with its zero point: -0 becomes 0.
    const auto value = hn::Add(hn::Div(hn::LoadU(d, from), scale), hn::Zero(d));
    const auto clamped = clamp_to_bits<8>(value);
    return hn::Mul(hn::CopySign(hn::Round(clamped), clamped), scale);  // Highway's SSSE3 drops the sign of zero
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(served(x + i), d, x + i);
  if (i == count) return;
  HWY_ALIGN float last[16] = {};
  std::copy(x + i, x + count, last);
  hn::Store(served(last), d, last);
  std::copy(last, last + (count - i), x + i);
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {
namespace {

HWY_EXPORT(encode);
HWY_EXPORT(decode);
HWY_EXPORT(fake_quantize);

int flip_of(Int8Bytes bytes) { return bytes == Int8Bytes::complement ? 0x80 : 0; }

}  // namespace

void int8_encode(const float* x, std::int64_t count, float scale, Int8Bytes bytes, Arithmetic arithmetic,
                 std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(encode)(x, static_cast<std::size_t>(count), scale, flip_of(bytes), arithmetic, codes);
}

void int8_decode(const std::uint8_t* codes, std::int64_t count, float scale, Int8Bytes bytes, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(codes, static_cast<std::size_t>(count), scale, flip_of(bytes), out);
}

void int8_fake_quantize(float* x, std::int64_t count, float steps) {
  HWY_DYNAMIC_DISPATCH(fake_quantize)(x, static_cast<std::size_t>(count), steps);
}

}  // namespace strata::kernels
#endif
