#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <cmath>
#include <numbers>

namespace strata {
namespace {

// Llama 3.1: long waves are stretched by the factor, short ones stay, those between are blended.
float llama3_frequency(const RopeSpec& rope, float frequency) {
  const double wave = 2 * std::numbers::pi / frequency;
  const double longest = rope.original_positions / rope.low_frequency_factor;
  const double shortest = rope.original_positions / rope.high_frequency_factor;
  if (wave > longest) return static_cast<float>(frequency / rope.factor);
  if (wave < shortest) return frequency;
  const double blend = (rope.original_positions / wave - rope.low_frequency_factor) /
                       (rope.high_frequency_factor - rope.low_frequency_factor);
  return static_cast<float>((1 - blend) * frequency / rope.factor + blend * frequency);
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeSpec& rope, int head_dim) {
  std::vector<float> inverse(static_cast<std::size_t>(head_dim / 2));
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    const float frequency = 1.0f / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.kind == RopeKind::plain) inverse[i] = frequency;
    if (rope.kind == RopeKind::linear) inverse[i] = static_cast<float>(frequency / rope.factor);
    if (rope.kind == RopeKind::llama3) inverse[i] = llama3_frequency(rope, frequency);
  }
  return inverse;
}

at::Tensor rotate(const at::Tensor& x, const RopeSpec& rope) {
  const std::int64_t tokens = x.size(2), half = x.size(3) / 2;
  std::vector<float> inverse = inverse_frequencies(rope, static_cast<int>(x.size(3)));
  const at::Tensor angle =
      at::arange(tokens, at::kFloat).unsqueeze(1) * at::from_blob(inverse.data(), {1, half}, at::kFloat);
  const at::Tensor cosine = angle.cos(), sine = angle.sin();  // [t, d/2]
  const at::Tensor a = x.narrow(3, 0, half), b = x.narrow(3, half, half);
  return at::cat({a * cosine - b * sine, b * cosine + a * sine}, 3);
}

}  // namespace strata
