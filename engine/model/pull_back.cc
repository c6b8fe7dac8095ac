#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/pull_back.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

namespace strata {

std::vector<at::Tensor> pull_back(const at::Tensor& x, std::span<const at::Tensor> cotangents,
                                  const std::function<at::Tensor(const at::Tensor& x)>& function,
                                  const std::function<void(std::size_t k)>& after) {
  const at::Tensor leaf = x.detach().requires_grad_(true);
  const at::Tensor y = function(leaf);
  std::vector<at::Tensor> gradients;
  for (std::size_t k = 0; k < cotangents.size(); ++k) {
    if (!y.requires_grad()) {  // it does not depend on x: a group of experts that no token reached
      gradients.push_back(at::zeros_like(x));
      continue;
    }
    y.backward(cotangents[k], /*retain_graph=*/k + 1 < cotangents.size());
    gradients.push_back(leaf.grad().clone());
    leaf.mutable_grad().reset();
    if (after) after(k);
  }
  return gradients;
}

}  // namespace strata
