// Scales for an FP8 cache of keys and values: a server stores e4m3(x / scale), one scale a layer for each.
#pragma once

#include <array>

#include "engine/sweep/moments.h"
#include "profiles/model_spec.h"

namespace strata {

// Of keys and of values (cache_scale_tensors()): the largest magnitude that calibration saw, over 448. Error{input}
// when it saw none.
std::array<float, 2> cache_scales(const AttentionSpec& attention, const Moments& moments);

}  // namespace strata
