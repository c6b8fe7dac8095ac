// What the FP8 formats share: E4M3 weights with a scale a tensor, a row or a block of 128 x 128, and for
// static formats one of the input. Decoded value = code * scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/number_format.h"

namespace strata {

enum class Fp8Scale : std::uint8_t { tensor, channel, block };

inline constexpr std::int64_t fp8_block = 128;  // rows and columns of a block, and columns of an input group

struct Fp8Layout {
  Fp8Scale scale;
  bool input_scale;  // stores the scale of the input
};

// How compressed-tensors calls weights with such scales, and inputs with a scale a tensor.
constexpr StatedArguments fp8_arguments(Fp8Scale scale) {
  if (scale == Fp8Scale::block)
    return {.bits = 8, .type = "float", .strategy = "block", .block = {fp8_block, fp8_block}};
  return {.bits = 8, .type = "float", .strategy = scale == Fp8Scale::tensor ? "tensor" : "channel"};
}

// Inputs that fp8_quantize_tokens and fp8_quantize_groups quantize.
inline constexpr StatedArguments fp8_token_inputs{.bits = 8, .type = "float", .strategy = "token", .dynamic = "true"};
inline constexpr StatedArguments fp8_group_inputs{
    .bits = 8, .type = "float", .strategy = "group", .group_size = fp8_block, .dynamic = "true"};

std::vector<Field> fp8_fields(const Fp8Layout& layout, const Shape& weight, Dtype source, ScaleRule rule);

// The fields of a source that was FP8 already: scales in float32.
std::vector<Field> fp8_source_fields(const Fp8Layout& layout, const Shape& weight);

std::optional<std::string> fp8_refusal(const Fp8Layout& layout, const Shape& weight);

// The scale that Linears served as one matrix share when there is one a tensor.
float fp8_shared_scale(std::span<const WeightView> group, const EncodeContext& context);

void fp8_encode_input_scale(float input_amax, Dtype weight, ScaleRule rule, std::span<std::byte> out);

void fp8_encode(const Fp8Layout& layout, const WeightView& weight, const EncodeContext& context,
                std::span<const std::span<std::byte>> out);

// For formats whose codes are copied from the source: always Error{bug}.
void fp8_encode_source(const WeightView& weight, const EncodeContext& context,
                       std::span<const std::span<std::byte>> out);

void fp8_decode(const Fp8Layout& layout, std::span<const Field> stored,
                std::span<const std::span<const std::byte>> bytes, const Shape& weight, std::span<float> out);

void fp8_quantize_tokens(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale);
// The same with vLLM's least scale, 1 / (448 * 512).
void fp8_quantize_tokens_vllm(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale);
void fp8_quantize_groups(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale);
void fp8_quantize_static(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale);

// A format whose weights are stored so: `described` has what the layout does not decide.
template <Fp8Layout layout>
constexpr NumberFormat fp8_format(NumberFormat described) {
  described.scheme.format = "float-quantized";
  described.scheme.weights = fp8_arguments(layout.scale);
  described.bits_per_weight = stored_bits(described.scheme.weights);
  described.fields = [](const Shape& weight, Dtype source, ScaleRule rule) {
    return fp8_fields(layout, weight, source, rule);
  };
  described.refusal = [](const Shape& weight) { return fp8_refusal(layout, weight); };
  if (layout.scale == Fp8Scale::tensor) described.shared_scale = fp8_shared_scale;
  described.encode = [](const WeightView& weight, const EncodeContext& context,
                        std::span<const std::span<std::byte>> out) { fp8_encode(layout, weight, context, out); };
  described.decode = [](std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                        const Shape& weight, std::span<float> out) { fp8_decode(layout, stored, bytes, weight, out); };
  if (layout.input_scale) {
    described.scheme.input = fp8_arguments(Fp8Scale::tensor);
    described.calibrated_input = true;
    described.encode_input_scale = fp8_encode_input_scale;
    described.quantize_input = fp8_quantize_static;
    described.input_scale_suffix = "input_scale";
  }
  return described;
}

// The same for codes that are the source's: they are copied, never made, and their scales are float32.
template <Fp8Layout layout>
constexpr NumberFormat fp8_source_format(NumberFormat described) {
  described = fp8_format<layout>(described);
  described.fields = [](const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
    return fp8_source_fields(layout, weight);
  };
  described.bits_per_weight = stored_bits(described.scheme.weights, 32);
  described.calibrated_input = false;  // the input's scale is the source's too
  described.shared_scale = nullptr;
  described.encode = fp8_encode_source;
  described.source_only = true;
  return described;
}

}  // namespace strata
