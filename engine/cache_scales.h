// Scales for an FP8 cache of keys and values: a server stores e4m3(x / scale), one scale a layer for each.
#pragma once

#include <array>
#include <vector>

#include "engine/moments.h"
#include "formats/tensor.h"
#include "profiles/model_spec.h"

namespace strata {

// "<attention>.k_scale" and "<attention>.v_scale", F32 [1], as servers of compressed-tensors look for them.
std::vector<TensorInfo> cache_scale_tensors(const AttentionSpec& attention);

// Their values: the largest magnitude that calibration saw, over 448. Error{input} when it saw none.
std::array<float, 2> cache_scales(const AttentionSpec& attention, const Moments& moments);

}  // namespace strata
