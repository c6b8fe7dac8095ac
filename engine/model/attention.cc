#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <optional>

#include "engine/model/norm.h"
#include "engine/model/rope.h"

namespace strata {
namespace {

// [n, t, heads * d] to [n, heads, t, d], normed per head where the family does so.
at::Tensor split_heads(const at::Tensor& x, int heads, const std::optional<NormSpec>& norm, const LayerWeights& weights) {
  at::Tensor split = x.view({x.size(0), x.size(1), heads, -1});
  if (norm) split = rms_norm(split, weights.tensor(norm->weight), norm->eps);
  return split.transpose(1, 2);
}

// True where a query (row) may look at a key (column): not ahead, and less than `window` behind.
at::Tensor window_mask(std::int64_t tokens, std::int64_t window) {
  const at::Tensor position = at::arange(tokens, at::kLong);
  const at::Tensor behind = position.unsqueeze(1) - position.unsqueeze(0);  // query - key
  return behind.ge(0).logical_and(behind.lt(window));
}

}  // namespace

at::Tensor attention(const AttentionSpec& spec, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  const at::Tensor q = rotate(split_heads(site(spec.q, x), spec.heads, spec.q_norm, weights), spec.rope);
  const at::Tensor k = rotate(split_heads(site(spec.k, x), spec.kv_heads, spec.k_norm, weights), spec.rope);
  const at::Tensor v = split_heads(site(spec.v, x), spec.kv_heads, std::nullopt, weights);

  const std::int64_t tokens = x.size(1);
  const bool windowed = spec.window > 0 && spec.window < tokens;
  const std::optional<at::Tensor> mask = windowed ? std::optional(window_mask(tokens, spec.window)) : std::nullopt;
  // The default scale is head_dim^-1/2; query head h reads key head h / (heads / kv_heads).
  const at::Tensor mixed = at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, /*is_causal=*/!windowed,
                                                            /*scale=*/std::nullopt, /*enable_gqa=*/true);
  return site(spec.o, mixed.transpose(1, 2).reshape({x.size(0), tokens, -1}));
}

}  // namespace strata
