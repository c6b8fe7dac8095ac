// What the MX formats share: codes of 4, 6 or 8 bits, and for 32 columns of a row a power of two as one byte.
// Decoded value = element * 2^(byte - 127), exact in float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/kernels/mx.h"
#include "formats/number_format.h"
#include "formats/weight/stored_fields.h"

namespace strata {

// How compressed-tensors calls them. No checkpoint format has E3M2: the names of its layout and of its type are ours,
// so that every loader refuses instead of misreading it.
constexpr std::string_view mx_config_format(kernels::MxElement element) {
  if (element == kernels::MxElement::e2m1) return "mxfp4-pack-quantized";
  if (element == kernels::MxElement::e4m3) return "mxfp8-quantized";
  return element == kernels::MxElement::e2m3 ? "mxfp6-pack-quantized" : "mxfp6-e3m2-research";
}

constexpr StatedArguments mx_arguments(kernels::MxElement element) {
  return {.bits = kernels::mx_code_bytes(element) * 8 / kernels::mx_group,
          .type = element == kernels::MxElement::e3m2 ? "float_e3m2" : "float",
          .strategy = "group",
          .group_size = kernels::mx_group,
          .scales = "e8m0"};
}

// weight_packed (E4M3: weight) and weight_scale.
std::vector<Field> mx_weight_fields(kernels::MxElement element, const Shape& weight);

void mx_encode_weight(kernels::MxElement element, const WeightView& weight, const EncodeContext& context,
                      std::span<const std::span<std::byte>> out);

// A scale of 255 (NaN) is Error{input}.
void mx_decode_weight(kernels::MxElement element, std::span<const Field> stored,
                      std::span<const std::span<const std::byte>> bytes, const Shape& weight, std::span<float> out);

void mx_quantize_input(kernels::MxElement element, kernels::MxInputRule rule, std::span<float> x, std::int64_t rows,
                       std::int64_t cols);

// Inputs that are quantized as MX weights of this element are, for the config and in arithmetic.
constexpr StatedArguments mx_input_arguments(kernels::MxElement element) {
  StatedArguments arguments = mx_arguments(element);
  arguments.dynamic = "true";
  return arguments;
}

template <kernels::MxElement element>
void mx_inputs(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  mx_quantize_input(element, kernels::MxInputRule::compressed_tensors, x, rows, cols);
}

// Quantizes x as the kernels that vLLM calls do: no value saturates.
template <kernels::MxElement element>
void mx_inputs_upward(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  mx_quantize_input(element, kernels::MxInputRule::upward, x, rows, cols);
}

// A format whose weights are such elements: `described` has what the element does not decide.
template <kernels::MxElement element>
constexpr NumberFormat mx_format(NumberFormat described) {
  described.scheme.format = mx_config_format(element);
  described.scheme.weights = mx_arguments(element);
  described.bits_per_weight = stored_bits(described.scheme.weights);
  described.fields = [](const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
    return mx_weight_fields(element, weight);
  };
  if (described.refusal == nullptr)
    described.refusal = [](const Shape& weight) { return group_refusal(weight, kernels::mx_group); };
  described.encode = [](const WeightView& weight, const EncodeContext& context,
                        std::span<const std::span<std::byte>> out) { mx_encode_weight(element, weight, context, out); };
  described.decode = [](std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                        const Shape& weight,
                        std::span<float> out) { mx_decode_weight(element, stored, bytes, weight, out); };
  return described;
}

}  // namespace strata
