// Weights that trained models do not have, and that a quantizer meets all the same: zeros, one outlier, subnormals,
// values near the limit of their type, rows of very different sizes.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "tests/support/tiny_checkpoint.h"

namespace strata::test {

inline constexpr auto hostile_kinds =
    std::to_array<std::string_view>({"normal", "zeros", "zero rows", "one outlier", "constant", "alternating",
                                     "rows of all sizes", "tiny", "subnormal", "large", "at the limit"});

// Whether all magnitudes are those of ordinary numbers, 2^-20 to 2^20: what a forward survives.
bool is_moderate(std::string_view kind);

// Reproducible. `dtype` is f32, bf16 or f16.
StoredTensor hostile_tensor(std::string name, Shape shape, Dtype dtype, std::string_view kind, unsigned seed);

}  // namespace strata::test
