// What NVFP4 and NVFP4A16 share: the stored weight. Decoded value = E2M1 code * (group scale / global scale).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/kernels/nvfp4.h"
#include "formats/number_format.h"
#include "formats/weight/stored_fields.h"

namespace strata {

// 448 * 6 / amax, the divisor that lets the E4M3 group scales use their whole range; 1 where that is not
// finite (all zeros). compressed_tensors rounds it to the type of the weights at each step: in F16, whose
// largest number is 65504, small weights get 1.
float nvfp4_global_scale(float amax, ScaleRule rule, Dtype weights);

// The global scale of Linears that are served as one matrix.
float nvfp4_shared_scale(std::span<const WeightView> group, const EncodeContext& context);

// How compressed-tensors calls weights, and inputs whose global scale is stored.
inline constexpr StatedArguments nvfp4_arguments{
    .bits = 4, .type = "float", .strategy = "tensor_group", .group_size = kernels::nvfp4_group, .scales = "e4m3"};
constexpr StatedArguments nvfp4_input_arguments() {
  StatedArguments arguments = nvfp4_arguments;
  arguments.dynamic = R"("local")";  // the scales of the groups are
  return arguments;
}

std::vector<Field> nvfp4_weight_fields(const Shape& weight);

// out: weight_packed, weight_scale, weight_global_scale.
void nvfp4_encode_weight(const WeightView& weight, const EncodeContext& context,
                         std::span<const std::span<std::byte>> out);

void nvfp4_decode_weight(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                         const Shape& weight, std::span<float> out);

// A format whose weights are stored so: `described` has the rest, and what it stores beside them.
constexpr NumberFormat nvfp4_format(NumberFormat described) {
  described.scheme.format = "nvfp4-pack-quantized";
  described.scheme.weights = nvfp4_arguments;
  described.bits_per_weight = stored_bits(described.scheme.weights);
  if (described.fields == nullptr)
    described.fields = [](const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
      return nvfp4_weight_fields(weight);
    };
  described.refusal = [](const Shape& weight) { return group_refusal(weight, kernels::nvfp4_group); };
  described.shared_scale = nvfp4_shared_scale;
  if (described.encode == nullptr) described.encode = nvfp4_encode_weight;
  described.decode = nvfp4_decode_weight;
  return described;
}

}  // namespace strata
