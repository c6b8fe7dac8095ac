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

// Experts [first, end).
struct ExpertRange {
  std::size_t first = 0, end = 0;
};

// Adds weight * expert(x) of the chosen experts among `range` to `sum`; x, sum [rows, hidden], ids and weights as
// route() gives them. Experts run in order of number, so that the sum over all does not depend on how they are cut
// into ranges.
void add_experts(const MoeSpec& spec, ExpertRange range, LinearSite& site, const at::Tensor& x, const at::Tensor& ids,
                 const at::Tensor& weights, at::Tensor& sum);

// Sum over all chosen experts; x [rows, hidden].
at::Tensor mixture(const MoeSpec& spec, LinearSite& site, const at::Tensor& x);

}  // namespace strata
