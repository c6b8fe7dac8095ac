#include "formats/kernels/int_search.h"

#include <cmath>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/int_search.cc"
#include <hwy/foreach_target.h>

#include "formats/kernels/integer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strata::kernels::HWY_NAMESPACE {
namespace {

// Squares of errors leave the range of float32 outside of this; such groups keep the plain scale.
bool squares_fit(float magnitude) { return magnitude > 1e-12f && magnitude < 1e12f; }

float bf16_steps_away(float scale, int steps) {
  return from_bf16_bits(static_cast<std::uint16_t>(to_bf16_bits(scale) + steps));
}

// The value of largest magnitude; of two the positive one.
float extreme_value(const float* HWY_RESTRICT x, std::size_t count) {
  const Floats d;
  auto low = hn::Zero(d), high = hn::Zero(d);
  std::size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    low = hn::Min(low, hn::LoadU(d, x + i));
    high = hn::Max(high, hn::LoadU(d, x + i));
  }
  float least = hn::GetLane(hn::MinOfLanes(d, low)), most = hn::GetLane(hn::MaxOfLanes(d, high));
  for (; i < count; ++i) {
    least = HWY_MIN(least, x[i]);
    most = HWY_MAX(most, x[i]);
  }
  return -least > most ? least : most;
}

// The candidates for one scale and the best of them.
template <int bits, bool weighted>
class Search {
 public:
  Search(const float* x, const float* column_weight, std::size_t count, IntScale plain)
      : x_(x), column_weight_(column_weight), count_(count), plain_(plain), best_(plain), least_(error<false>(plain)) {}

  // Whether it is the best so far.
  bool try_scale(IntScale candidate) {
    const double e = error<false>(candidate);
    if (!(e < least_)) return false;
    best_ = candidate;
    least_ = e;
    return true;
  }

  // The zero point moves by at most one code from one scale to the next: its neighbours are enough.
  bool try_zero_points(float scale) {
    const float zero = best_.zero;
    bool better = try_scale({scale, zero});
    if (zero > -8) better |= try_scale({scale, zero - 1});
    if (zero < 7) better |= try_scale({scale, zero + 1});
    return better;
  }

  IntScale best() const { return best_; }

  // The best, or what was given where that is as good with the codes that will be stored.
  IntScale result() const { return error<true>(best_) < error<true>(plain_) * (1 - 1e-5) ? best_ : plain_; }

 private:
  // sum of weight * (x - (q - zero) * scale)^2. `exact` takes the codes that are stored; without, a reciprocal
  // replaces the division: one code in millions differs, a tie of equal error.
  template <bool exact>
  double error(IntScale s) const {
    const Floats d;
    const auto scale = hn::Set(d, s.scale), zero = hn::Set(d, s.zero), inverse = hn::Set(d, 1.0f / s.scale);
    return sum_of_16<weighted>(x_, column_weight_, count_, [&](hn::Vec<Floats> value) HWY_ATTR {
      const auto quotient = exact ? hn::Div(value, scale) : hn::Mul(value, inverse);
      const auto code = hn::Round(clamp_to_bits<bits>(hn::Add(quotient, zero)));
      const auto difference = hn::Sub(value, hn::Mul(hn::Sub(code, zero), scale));
      return hn::Mul(difference, difference);
    });
  }

  const float* x_;
  const float* column_weight_;
  std::size_t count_;
  IntScale plain_, best_;
  double least_;
};

// Tries bfloat16 scales from `scale` down, `step` codes apart, until the best is `patience` behind.
template <typename Candidate>
void descend(float scale, int step, int patience, const Candidate& candidate) {
  const float lowest = std::fabs(scale) / 6;
  scale = round_to_bf16(scale);
  for (int behind = 0; behind < patience && std::fabs(scale) > lowest; ++behind) {
    if (candidate(scale)) behind = -1;
    scale = bf16_steps_away(scale, -step);
  }
}

template <int bits, bool weighted>
IntScale best_scale(const float* x, const float* column_weight, std::size_t count, IntScale plain) {
  const float extreme = extreme_value(x, count);
  if (!squares_fit(std::fabs(extreme))) return plain;
  Search<bits, weighted> search(x, column_weight, count, plain);
  const float full = extreme / static_cast<float>(-(1 << (bits - 1)));  // puts the extreme on the lowest code
  descend(full * (bits == 8 ? 1.01f : 1.06f), bits == 8 ? 1 : 3, 10, [&](float scale) {
    return search.try_scale({scale, 0});
  });
  const float center = search.best().scale;
  for (const int step : {-2, -1, 1, 2}) search.try_scale({bf16_steps_away(center, step), 0});
  search.try_scale({-search.best().scale, 0});
  return search.result();
}

template <bool weighted>
IntScale best_scale_and_zero(const float* x, const float* column_weight, std::size_t count, IntScale plain) {
  if (!squares_fit(std::fabs(extreme_value(x, count)))) return plain;
  Search<4, weighted> search(x, column_weight, count, plain);
  descend(plain.scale * 1.04f, 3, 8, [&](float scale) { return search.try_zero_points(scale); });
  const float center = search.best().scale;
  for (const int step : {-2, -1, 1, 2}) search.try_zero_points(bf16_steps_away(center, step));
  return search.result();
}

IntScale search_4(const float* x, const float* column_weight, std::size_t count, IntScale plain) {
  return column_weight == nullptr ? best_scale<4, false>(x, column_weight, count, plain)
                                  : best_scale<4, true>(x, column_weight, count, plain);
}

IntScale search_8(const float* x, const float* column_weight, std::size_t count, IntScale plain) {
  return column_weight == nullptr ? best_scale<8, false>(x, column_weight, count, plain)
                                  : best_scale<8, true>(x, column_weight, count, plain);
}

IntScale search_zero(const float* x, const float* column_weight, std::size_t count, IntScale plain) {
  return column_weight == nullptr ? best_scale_and_zero<false>(x, column_weight, count, plain)
                                  : best_scale_and_zero<true>(x, column_weight, count, plain);
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {
namespace {

HWY_EXPORT(search_4);
HWY_EXPORT(search_8);
HWY_EXPORT(search_zero);

}  // namespace

IntScale search_int(const float* x, const float* column_weight, std::int64_t count, int bits, IntScale plain) {
  const auto n = static_cast<std::size_t>(count);
  return bits == 4 ? HWY_DYNAMIC_DISPATCH(search_4)(x, column_weight, n, plain)
                   : HWY_DYNAMIC_DISPATCH(search_8)(x, column_weight, n, plain);
}

IntScale search_int4_zero(const float* x, const float* column_weight, std::int64_t count, IntScale plain) {
  return HWY_DYNAMIC_DISPATCH(search_zero)(x, column_weight, static_cast<std::size_t>(count), plain);
}

}  // namespace strata::kernels
#endif
