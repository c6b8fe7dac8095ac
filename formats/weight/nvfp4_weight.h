// What NVFP4 and NVFP4A16 share: the stored weight. Decoded value = E2M1 code * (group scale / global scale).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/number_format.h"

namespace strata {

// 448 * 6 / amax, the divisor that lets the E4M3 group scales use their whole range; 1 where that is not
// finite (all zeros). compressed_tensors rounds it to the type of the weights at each step: in F16, whose
// largest number is 65504, small weights get 1.
float nvfp4_global_scale(float amax, ScaleRule rule, Dtype weights);

// The global scale of Linears that are served as one matrix.
float nvfp4_shared_scale(std::span<const WeightView> group, const EncodeContext& context);

std::vector<Field> nvfp4_weight_fields(const Shape& weight);

// out: weight_packed, weight_scale, weight_global_scale.
void nvfp4_encode_weight(const WeightView& weight, const EncodeContext& context,
                         std::span<const std::span<std::byte>> out);

void nvfp4_decode_weight(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                         const Shape& weight, std::span<float> out);

}  // namespace strata
