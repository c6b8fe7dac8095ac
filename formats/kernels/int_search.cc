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

// sum of weight * (x - (q - zero) * scale)^2. `exact` takes the codes that are stored; without, a reciprocal
// replaces the division: one code in millions differs, a tie of equal error.
template <int bits, bool weighted, bool exact>
double error_of(const float* x, const float* column_weight, std::size_t count, IntScale s) {
  const Floats d;
  const auto scale = hn::Set(d, s.scale), zero = hn::Set(d, s.zero), inverse = hn::Set(d, 1.0f / s.scale);
  return sum_of_16<weighted>(x, column_weight, count, [&](hn::Vec<Floats> value) HWY_ATTR {
    const auto quotient = exact ? hn::Div(value, scale) : hn::Mul(value, inverse);
    const auto code = hn::Round(clamp_to_bits<bits>(hn::Add(quotient, zero)));
    const auto error = hn::Sub(value, hn::Mul(hn::Sub(code, zero), scale));
    return hn::Mul(error, error);
  });
}

template <int bits, bool exact>
double error_of(const float* x, const float* column_weight, std::size_t count, IntScale s) {
  return column_weight == nullptr ? error_of<bits, false, exact>(x, column_weight, count, s)
                                  : error_of<bits, true, exact>(x, column_weight, count, s);
}

double error_4(const float* x, const float* column_weight, std::int64_t count, IntScale s) {
  return error_of<4, false>(x, column_weight, static_cast<std::size_t>(count), s);
}

double error_8(const float* x, const float* column_weight, std::int64_t count, IntScale s) {
  return error_of<8, false>(x, column_weight, static_cast<std::size_t>(count), s);
}

double exact_error_4(const float* x, const float* column_weight, std::int64_t count, IntScale s) {
  return error_of<4, true>(x, column_weight, static_cast<std::size_t>(count), s);
}

double exact_error_8(const float* x, const float* column_weight, std::int64_t count, IntScale s) {
  return error_of<8, true>(x, column_weight, static_cast<std::size_t>(count), s);
}

// The value of largest magnitude; of two the positive one.
float extreme_value(const float* HWY_RESTRICT x, std::int64_t count) {
  const Floats d;
  const auto n = static_cast<std::size_t>(count);
  auto low = hn::Zero(d), high = hn::Zero(d);
  std::size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    low = hn::Min(low, hn::LoadU(d, x + i));
    high = hn::Max(high, hn::LoadU(d, x + i));
  }
  float least = hn::GetLane(hn::MinOfLanes(d, low)), most = hn::GetLane(hn::MaxOfLanes(d, high));
  for (; i < n; ++i) {
    least = HWY_MIN(least, x[i]);
    most = HWY_MAX(most, x[i]);
  }
  return -least > most ? least : most;
}

}  // namespace
}  // namespace strata::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strata::kernels {
namespace {

HWY_EXPORT(error_4);
HWY_EXPORT(error_8);
HWY_EXPORT(exact_error_4);
HWY_EXPORT(exact_error_8);
HWY_EXPORT(extreme_value);

// Candidates of one search and the best of them.
class Search {
 public:
  Search(const float* x, const float* column_weight, std::int64_t count, int bits, IntScale plain)
      : x_(x),
        column_weight_(column_weight),
        count_(count),
        bits_(bits),
        plain_(plain),
        best_(plain),
        least_(error(plain)) {}

  // Whether it is the best so far.
  bool try_scale(IntScale candidate) {
    const double e = error(candidate);
    if (!(e < least_)) return false;
    best_ = candidate;
    least_ = e;
    return true;
  }

  IntScale best() const { return best_; }

  // The best, or what was given where that is as good with the codes that will be stored.
  IntScale result() const { return exact_error(best_) < exact_error(plain_) * (1 - 1e-5) ? best_ : plain_; }

 private:
  double error(IntScale s) const {
    return bits_ == 4 ? HWY_DYNAMIC_DISPATCH(error_4)(x_, column_weight_, count_, s)
                      : HWY_DYNAMIC_DISPATCH(error_8)(x_, column_weight_, count_, s);
  }
  double exact_error(IntScale s) const {
    return bits_ == 4 ? HWY_DYNAMIC_DISPATCH(exact_error_4)(x_, column_weight_, count_, s)
                      : HWY_DYNAMIC_DISPATCH(exact_error_8)(x_, column_weight_, count_, s);
  }

  const float* x_;
  const float* column_weight_;
  std::int64_t count_;
  int bits_;
  IntScale plain_, best_;
  double least_;
};

// Squares of errors leave the range of float32 outside of this; such groups keep the plain scale.
bool squares_fit(float magnitude) { return magnitude > 1e-12f && magnitude < 1e12f; }

float bf16_steps_away(float scale, int steps) {
  return from_bf16_bits(static_cast<std::uint16_t>(to_bf16_bits(scale) + steps));
}

// Tries bfloat16 scales from `scale` down, `step` codes apart, until the best is `patience` behind.
template <typename Candidates>
void descend(Search& search, float scale, int step, int patience, const Candidates& candidates) {
  const float lowest = std::fabs(scale) / 6;
  scale = round_to_bf16(scale);
  for (int behind = 0; behind < patience && std::fabs(scale) > lowest; ++behind) {
    if (candidates(search, scale)) behind = -1;
    scale = bf16_steps_away(scale, -step);
  }
}

}  // namespace

IntScale search_int(const float* x, const float* column_weight, std::int64_t count, int bits, IntScale plain) {
  const float extreme = HWY_DYNAMIC_DISPATCH(extreme_value)(x, count);
  if (!squares_fit(std::fabs(extreme))) return plain;
  Search search(x, column_weight, count, bits, plain);
  const float full = extreme / static_cast<float>(-(1 << (bits - 1)));  // puts the extreme on the lowest code
  const bool fine = bits == 8;
  descend(search, full * (fine ? 1.01f : 1.06f), fine ? 1 : 3, 10, [](Search& s, float scale) {
    return s.try_scale({scale, 0});
  });
  const float center = search.best().scale;
  for (const int step : {-2, -1, 1, 2}) search.try_scale({bf16_steps_away(center, step), 0});
  search.try_scale({-search.best().scale, 0});
  return search.result();
}

IntScale search_int4_zero(const float* x, const float* column_weight, std::int64_t count, IntScale plain) {
  const float extreme = HWY_DYNAMIC_DISPATCH(extreme_value)(x, count);
  if (!squares_fit(std::fabs(extreme))) return plain;
  Search search(x, column_weight, count, 4, plain);
  // The zero point moves by at most one code from one scale to the next: its neighbours are enough.
  const auto near_zero_points = [](Search& s, float scale) {
    bool better = false;
    const float zero = s.best().zero;
    for (float z = HWY_MAX(zero - 1, -8.0f); z <= HWY_MIN(zero + 1, 7.0f); z += 1) better |= s.try_scale({scale, z});
    return better;
  };
  descend(search, plain.scale * 1.04f, 3, 8, near_zero_points);
  const float center = search.best().scale;
  for (const int step : {-2, -1, 1, 2}) near_zero_points(search, bf16_steps_away(center, step));
  return search.result();
}

}  // namespace strata::kernels
#endif
