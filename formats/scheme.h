// How weights and inputs are quantized, in the words of compressed-tensors: what a number format states of itself, and
// what a config says of a checkpoint. Text is std::string_view in the one and std::string in the other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace strata {

// QuantizationArgs, as far as they change what the bytes mean. Tags (observer, actorder "weight" or "static") do not.
template <typename Text>
struct BasicArguments {
  std::int64_t bits = 8;
  Text type = "int";
  bool symmetric = true;
  Text strategy = {};
  std::int64_t group_size = 0;                 // 0 when there are no groups
  Text dynamic = "false";                      // as JSON: false, true, "local"
  std::array<std::int64_t, 2> block = {0, 0};  // rows and columns of a block; zeros when there are none
  Text scales = {};                            // "e8m0" or "e4m3" codes; empty for plain floats
};

template <typename A, typename B>
constexpr bool operator==(const BasicArguments<A>& a, const BasicArguments<B>& b) {
  const auto fields = [](const auto& one) {
    return std::tie(one.bits, one.type, one.symmetric, one.strategy, one.group_size, one.dynamic, one.block,
                    one.scales);
  };
  return fields(a) == fields(b);
}

// One config group: how the Linears that it targets are quantized.
template <typename Text>
struct BasicScheme {
  Text format = {};  // how codes and scales lie: "pack-quantized"
  BasicArguments<Text> weights = {};
  std::optional<BasicArguments<Text>> input = {};
};

template <typename A, typename B>
constexpr bool operator==(const BasicScheme<A>& a, const BasicScheme<B>& b) {
  return a.format == b.format && a.weights == b.weights && a.input == b.input;
}

// What a number format states. Without a format: its Linears are not quantized.
using StatedArguments = BasicArguments<std::string_view>;
using StatedScheme = BasicScheme<std::string_view>;

// What a file says. Its group may leave the format out.
using SchemeArguments = BasicArguments<std::string>;
using Scheme = BasicScheme<std::string>;

// Bits that a weight takes: its code, and its share of the scale and the zero point of its group or block. What a whole
// row or tensor has in common does not count.
constexpr double stored_bits(const StatedArguments& weights, std::int64_t plain_scale_bits = 16) {
  const std::int64_t sharing = weights.group_size > 0 ? weights.group_size : weights.block[0] * weights.block[1];
  if (sharing == 0) return static_cast<double>(weights.bits);
  const std::int64_t scale = weights.scales.empty() ? plain_scale_bits : 8;
  const std::int64_t zero_point = weights.symmetric ? 0 : weights.bits;
  return static_cast<double>(weights.bits) + static_cast<double>(scale + zero_point) / static_cast<double>(sharing);
}

}  // namespace strata
