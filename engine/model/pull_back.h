// Gradients by libtorch's autograd, for sweeps that run with Grad::on (engine/sweep/boundary.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace at {
class Tensor;
}

namespace strata {

// The product of each cotangent with the Jacobian of `function` at `x`: the gradient of <cotangent, function(x)> with
// respect to x. `function` is computed once; cotangents have the shape of its value. Must run where gradients are on.
// `after(k)` is called when all gradients of cotangent k have come to whoever hooked in.
std::vector<at::Tensor> pull_back(const at::Tensor& x, std::span<const at::Tensor> cotangents,
                                  const std::function<at::Tensor(const at::Tensor& x)>& function,
                                  const std::function<void(std::size_t k)>& after = {});

}  // namespace strata
