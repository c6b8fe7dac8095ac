// Rotary embedding, half-split pairs (i, i + d/2) over the whole head (docs/models.md).
#pragma once

#include <cstdint>
#include <vector>

#include "profiles/model_spec.h"

namespace at {
class Tensor;
}

namespace strata {

// Inverse frequencies of a head of `head_dim` channels: head_dim / 2 of them, scaled as the spec says.
std::vector<float> inverse_frequencies(const RopeSpec& rope, int head_dim);

// x [n, heads, t, d], rotated by position 0 .. t-1.
at::Tensor rotate(const at::Tensor& x, const RopeSpec& rope);

}  // namespace strata
