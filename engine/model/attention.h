// Grouped-query attention: causal, with an optional sliding window and per-head q/k norms.
#pragma once

#include "engine/model/linear_site.h"
#include "profiles/model_spec.h"

namespace strata {

// x [n, t, hidden], already normed; gives [n, t, hidden]. Rows are independent samples.
at::Tensor attention(const AttentionSpec& spec, const LayerWeights& weights, LinearSite& site, const at::Tensor& x);

}  // namespace strata
