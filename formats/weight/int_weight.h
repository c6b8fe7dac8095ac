// What the integer formats share: weights in 4 or 8 bits with a scale a group of columns or a row.
// Decoded value = (code - zero point) * scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/number_format.h"

namespace strata {

struct IntLayout {
  int bits;            // 4 or 8
  std::int64_t group;  // columns that share a scale; 0: a whole row
  bool zero_point;     // 4 bits only
  bool packed;         // I32 words of codes + 2^(bits - 1); else I8 (8 bits only)
};

// How compressed-tensors calls weights of this layout.
constexpr StatedArguments int_arguments(const IntLayout& layout) {
  return {.bits = layout.bits,
          .type = "int",
          .symmetric = !layout.zero_point,
          .strategy = layout.group > 0 ? "group" : "channel",
          .group_size = layout.group};
}

std::vector<Field> int_fields(const IntLayout& layout, const Shape& weight, Dtype source, ScaleRule rule);

std::optional<std::string> int_refusal(const IntLayout& layout, const Shape& weight);

void int_encode(const IntLayout& layout, const WeightView& weight, const EncodeContext& context,
                std::span<const std::span<std::byte>> out);

void int_decode(const IntLayout& layout, std::span<const Field> stored,
                std::span<const std::span<const std::byte>> bytes, const Shape& weight, std::span<float> out);

// A format whose weights are stored so: `described` has what the layout does not decide.
template <IntLayout layout>
constexpr NumberFormat int_format(NumberFormat described) {
  described.scheme.format = layout.packed ? "pack-quantized" : "int-quantized";
  described.scheme.weights = int_arguments(layout);
  described.bits_per_weight = stored_bits(described.scheme.weights);
  described.fields = [](const Shape& weight, Dtype source, ScaleRule rule) {
    return int_fields(layout, weight, source, rule);
  };
  described.refusal = [](const Shape& weight) { return int_refusal(layout, weight); };
  described.encode = [](const WeightView& weight, const EncodeContext& context,
                        std::span<const std::span<std::byte>> out) { int_encode(layout, weight, context, out); };
  described.decode = [](std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes,
                        const Shape& weight, std::span<float> out) { int_decode(layout, stored, bytes, weight, out); };
  return described;
}

}  // namespace strata
