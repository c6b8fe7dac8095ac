// RMSNorm: w * x / sqrt(mean(x^2) + eps) over the last dimension (docs/models.md).
#pragma once

namespace at {
class Tensor;
}

namespace strata {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace strata
