#include "formats/weight/fp8_scale.h"

#include <array>
#include <vector>

#include "formats/kernels/fp8.h"
#include "formats/kernels/minifloat.h"
#include "formats/weight/fp8_weight.h"
#include "formats/weight/plain_scales.h"
#include "formats/weight/row_blocks.h"

namespace strata {
namespace {

// Times amax / 448. Below 1 the largest value saturates (up to 464 it would have rounded to 448 anyway);
// an octave up the steps stand where they stood, with one octave less at the lower end.
constexpr std::array factors = {1.0f, 0.9375f, 0.9688f, 1.04f, 1.09f, 1.14f, 1.25f, 1.4f, 1.55f, 1.7f, 1.85f};

using Errors = std::array<double, factors.size()>;

bool squares_fit(float scale) { return scale > 1e-14f && scale < 1e10f; }

float candidate(std::size_t i, float plain) { return i == 0 ? plain : round_to_bf16(plain * factors[i]); }

void add_errors(const ValueBlock& block, std::span<const float> column_weight, float plain, Errors& errors) {
  const float* const weight = column_weight.empty() ? nullptr : column_weight.data();
  for (std::int64_t row = 0; row < block.rows; ++row)
    for (std::size_t i = 0; i < factors.size(); ++i)
      errors[i] += kernels::fp8_error(block.values + row * block.stride, weight, block.cols, candidate(i, plain));
}

// The errors are sums of float32 terms: a gain within their rounding is none.
float best_scale(const Errors& errors, float plain) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < errors.size(); ++i)
    if (errors[i] < errors[best]) best = i;
  return errors[best] < errors[0] * (1 - 1e-5) ? candidate(best, plain) : plain;
}

}  // namespace

float searched_fp8_scale(const ValueBlock& block, const EncodeContext& context, float plain) {
  if (!squares_fit(plain)) return plain;
  Errors errors = {};
  add_errors(block, context.column_weight, plain, errors);
  return best_scale(errors, plain);
}

// Rows are summed in order, so that threads change nothing.
float searched_fp8_scale(std::span<const WeightView> group, const EncodeContext& context, float plain) {
  if (!squares_fit(plain)) return plain;
  Errors total = {};
  for (const WeightView& weight : group) {
    std::vector<Errors> rows(static_cast<std::size_t>(weight.rows));
    for_each_row(weight, [&](std::int64_t row, const float* values) {
      add_errors({values, 1, weight.cols, weight.cols}, context.column_weight, plain,
                 rows[static_cast<std::size_t>(row)]);
    });
    for (const Errors& row : rows)
      for (std::size_t i = 0; i < row.size(); ++i) total[i] += row[i];
  }
  return best_scale(total, plain);
}

float fp8_shared_scale(std::span<const WeightView> group, const EncodeContext& context) {
  const float plain = storable_scale(context.fused_amax / e4m3_max, group.front().dtype, context.rule);
  return context.rule == ScaleRule::search ? searched_fp8_scale(group, context, plain) : plain;
}

}  // namespace strata
