// Scales as native storages hold them: plain floats or powers of two (E8M0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/storage/stored_linear.h"

namespace strata {

// What the scales beside an FP8 weight belong to. Scales per 32 columns and per block may both be bytes: the
// config's block size or else the shape tells them apart.
enum class Fp8Scales : std::uint8_t { none, tensor, block, columns_32 };
Fp8Scales fp8_scales_of(const Stem& stem);

// The tensor that holds the scales of an FP8 weight: the first of weight_scale_inv (despite its name a
// multiplier), weight_scale and scale; nullptr when there is none.
const TensorInfo* fp8_scales(const Stem& stem);
std::string_view fp8_scales_suffix(const StoredLinear& linear);

bool is_e8m0(Dtype dtype);  // F8_E8M0, or U8 where the tensor is known to hold scales

// All of them as float32. Error{input} naming `module`, row and column for an E8M0 NaN (255).
std::vector<float> scale_values(const Field& field, std::span<const std::byte> bytes, std::string_view module);

// The bytes of a field of `linear`, whose bytes come in the order of its fields.
std::span<const std::byte> bytes_of(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes,
                                    std::string_view suffix);

// Number of pieces of `step` in `count`, the last may be shorter.
constexpr std::int64_t pieces(std::int64_t count, std::int64_t step) {
  return count / step + (count % step != 0 ? 1 : 0);
}

}  // namespace strata
