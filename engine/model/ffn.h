// The feed-forward half of a layer: a gated MLP, or a mixture of them behind a router.
#pragma once

#include "engine/model/linear_site.h"
#include "profiles/model_spec.h"

namespace strata {

// down(act(gate x) * up x); x [..., hidden].
at::Tensor gated_mlp(const GatedMlpSpec& spec, LinearSite& site, const at::Tensor& x);

// Which experts each row of x [rows, hidden] goes to: ids I64 [rows, k] in order of weight, and float32
// weights [rows, k].
void route(const MoeSpec& spec, LinearSite& site, const at::Tensor& x, at::Tensor& ids, at::Tensor& weights);

// Sum over the chosen experts of weight * expert(x); x [rows, hidden]. Experts run in order of number, so
// the sum does not depend on anything else.
at::Tensor mixture(const MoeSpec& spec, LinearSite& site, const at::Tensor& x);

}  // namespace strata
