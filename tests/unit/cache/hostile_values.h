// Values that a lossless codec may get wrong.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace strata::test {

struct NamedValues {
  std::string name;
  std::vector<float> values;
};

inline std::vector<float> from_bits(std::size_t count, const auto& bits) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t word = bits(i);
    std::memcpy(&values[i], &word, 4);
  }
  return values;
}

inline std::vector<float> gaussian(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// The low 16 bits cut off.
inline std::vector<float> cut_to_bf16(std::vector<float> values) {
  for (float& value : values) value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & 0xffff0000u);
  return values;
}

inline std::vector<NamedValues> hostile_values(std::size_t count) {
  std::mt19937 random(7);
  constexpr std::uint32_t special[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000,
                                       0xffc00001, 0x7f800001, 0xff812345, 0x7fffffff, 0x00000001,
                                       0x807fffff, 0x00800000, 0x7f7fffff, 0x3f800000};
  std::vector<NamedValues> all;
  all.push_back({"zeros", std::vector<float>(count, 0.0f)});
  all.push_back({"one value", std::vector<float>(count, -1.37f)});
  all.push_back({"gaussian", gaussian(count)});
  all.push_back({"gaussian in BF16", cut_to_bf16(gaussian(count))});
  all.push_back({"random bits", from_bits(count, [&](std::size_t) { return static_cast<std::uint32_t>(random()); })});
  all.push_back({"special values", from_bits(count, [&](std::size_t i) { return special[i % std::size(special)]; })});
  all.push_back({"special values in BF16",
                 cut_to_bf16(from_bits(count, [&](std::size_t i) { return special[i % std::size(special)]; }))});
  all.push_back({"subnormals",
                 from_bits(count, [&](std::size_t) { return static_cast<std::uint32_t>(random()) & 0x807fffffu; })});
  all.push_back({"NaN payloads",
                 from_bits(count, [&](std::size_t) { return static_cast<std::uint32_t>(random()) | 0x7f800001u; })});
  all.push_back({"few mantissa bits",
                 from_bits(count, [&](std::size_t) { return static_cast<std::uint32_t>(random()) & 0xffffe000u; })});
  std::vector<float> late = cut_to_bf16(gaussian(count));  // only the last value is not BF16
  if (!late.empty()) late.back() = 1.00001f;
  all.push_back({"BF16 but the last", std::move(late)});
  return all;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace strata::test
