#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/ffn.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <tuple>
#include <vector>

namespace strata {
namespace {

at::Tensor activate(Activation activation, at::Tensor x) {
  if (activation == Activation::gelu_tanh) return at::gelu(x, "tanh");
  return at::silu_(x);
}

// Rows of each expert, in order: token numbers and where their weight stands in the flat [rows * k] list.
struct ExpertRows {
  std::vector<std::int64_t> tokens, places;
};

std::vector<ExpertRows> rows_by_expert(const at::Tensor& ids, std::size_t experts) {
  std::vector<ExpertRows> rows(experts);
  const std::int64_t top_k = ids.size(1);
  const std::int64_t* const id = ids.const_data_ptr<std::int64_t>();
  for (std::int64_t place = 0; place < ids.numel(); ++place) {
    ExpertRows& mine = rows[static_cast<std::size_t>(id[place])];
    mine.tokens.push_back(place / top_k);
    mine.places.push_back(place);
  }
  return rows;
}

// Gradients want it longer than it lives here.
at::Tensor index_tensor(std::vector<std::int64_t>& index) {
  const at::Tensor here = at::from_blob(index.data(), {static_cast<std::int64_t>(index.size())}, at::kLong);
  return c10::GradMode::is_enabled() ? here.clone() : here;
}

}  // namespace

at::Tensor gated_mlp(const GatedMlpSpec& spec, LinearSite& site, const at::Tensor& x) {
  at::Tensor gate = activate(spec.activation, site(spec.gate, x));
  return site(spec.down, gate.mul_(site(spec.up, x)));
}

void route(const MoeSpec& spec, LinearSite& site, const at::Tensor& x, at::Tensor& ids, at::Tensor& weights) {
  const at::Tensor probability = site(spec.router, x).softmax(-1);
  std::tie(weights, ids) = probability.topk(spec.top_k, -1);
  if (spec.renormalize) weights = weights / weights.sum(-1, /*keepdim=*/true);
}

void add_experts(const MoeSpec& spec, ExpertRange range, LinearSite& site, const at::Tensor& x, const at::Tensor& ids,
                 const at::Tensor& weights, at::Tensor& sum) {
  const at::Tensor flat_weights = weights.reshape({-1, 1});
  std::vector<ExpertRows> rows = rows_by_expert(ids.contiguous(), spec.experts.size());
  for (std::size_t e = range.first; e < range.end; ++e) {
    if (rows[e].tokens.empty()) continue;
    const at::Tensor tokens = index_tensor(rows[e].tokens);
    at::Tensor y = gated_mlp(spec.experts[e], site, x.index_select(0, tokens));
    y.mul_(flat_weights.index_select(0, index_tensor(rows[e].places)));
    sum.index_add_(0, tokens, y);
  }
}

at::Tensor mixture(const MoeSpec& spec, LinearSite& site, const at::Tensor& x) {
  at::Tensor ids, weights;
  route(spec, site, x, ids, weights);
  at::Tensor sum = at::zeros_like(x);
  add_experts(spec, {0, spec.experts.size()}, site, x, ids, weights, sum);
  return sum;
}

}  // namespace strata
