#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/model/norm.h"
#include "engine/model/rope.h"

namespace strata {
namespace {

// [n, t, heads * d] to [n, heads, t, d], normed per head where the family does so.
at::Tensor split_heads(const at::Tensor& x, int heads, const std::optional<NormSpec>& norm,
                       const LayerWeights& weights) {
  at::Tensor split = x.view({x.size(0), x.size(1), heads, -1});
  if (norm) split = rms_norm(split, weights.tensor(norm->weight), norm->eps);
  return split.transpose(1, 2);
}

constexpr std::int64_t query_block = 256;

// True where a query (row) may look at a key (column): not ahead, and less than `window` behind.
at::Tensor window_mask(std::int64_t first_query, std::int64_t queries, std::int64_t first_key, std::int64_t keys,
                       std::int64_t window) {
  const at::Tensor query = at::arange(first_query, first_query + queries, at::kLong);
  const at::Tensor key = at::arange(first_key, first_key + keys, at::kLong);
  const at::Tensor behind = query.unsqueeze(1) - key.unsqueeze(0);
  return behind.ge(0).logical_and(behind.lt(window));
}

// The default scale is head_dim^-1/2; query head h reads key head h / (heads / kv_heads).
at::Tensor mix(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::optional<at::Tensor>& mask) {
  return at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, /*is_causal=*/!mask.has_value(),
                                          /*scale=*/std::nullopt, /*enable_gqa=*/true);
}

// Blocks of queries look only at the keys in their reach, so memory grows with the window and not with its
// product with the tokens.
at::Tensor windowed_mix(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  std::vector<at::Tensor> blocks;
  for (std::int64_t first = 0; first < q.size(2); first += query_block) {
    const std::int64_t queries = std::min(query_block, q.size(2) - first);
    const std::int64_t first_key = std::max<std::int64_t>(0, first - window + 1);
    const std::int64_t keys = first + queries - first_key;
    blocks.push_back(mix(q.narrow(2, first, queries), k.narrow(2, first_key, keys), v.narrow(2, first_key, keys),
                         window_mask(first, queries, first_key, keys, window)));
  }
  return at::cat(blocks, 2);
}

}  // namespace

at::Tensor attention(const AttentionSpec& spec, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  const at::Tensor q = rotate(split_heads(site(spec.q, x), spec.heads, spec.q_norm, weights), spec.rope);
  const at::Tensor k = rotate(split_heads(site(spec.k, x), spec.kv_heads, spec.k_norm, weights), spec.rope);
  const at::Tensor v = split_heads(site(spec.v, x), spec.kv_heads, std::nullopt, weights);
  site.cache(spec, k, v);

  const std::int64_t tokens = x.size(1);
  const bool windowed = spec.window > 0 && spec.window < tokens;
  const at::Tensor mixed = windowed ? windowed_mix(q, k, v, spec.window) : mix(q, k, v, std::nullopt);
  return site(spec.o, mixed.transpose(1, 2).reshape({x.size(0), tokens, -1}));
}

}  // namespace strata
