#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace strata {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor inverse = x.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();  // [..., 1]
  return (x * inverse).mul_(weight);
}

}  // namespace strata
