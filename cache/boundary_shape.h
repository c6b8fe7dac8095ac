// Hidden states between two layers, float32 [samples, tokens, hidden], and how a file of them is cut: blocks of
// `samples_per_block` samples, each block into frames of at most 2^20 values. Pure arithmetic: the planner counts
// bytes with it, and the layout does not depend on threads or budgets.
#pragma once

#include <cstdint>

#include "cache/frame.h"

namespace strata {

enum class BoundaryType : std::uint8_t {
  f32 = 0,
  bf16 = 1,  // every value is BF16 exactly; half the bytes at most
};

struct BoundaryShape {
  std::int64_t samples = 0, tokens = 0, hidden = 0;
  std::int64_t samples_per_block = 1;
  BoundaryType type = BoundaryType::f32;

  bool operator==(const BoundaryShape&) const = default;
  std::int64_t blocks() const { return (samples + samples_per_block - 1) / samples_per_block; }
  std::int64_t samples_in(std::int64_t block) const;  // fewer in the last block
  std::uint64_t values_in(std::int64_t block) const {
    return static_cast<std::uint64_t>(samples_in(block) * tokens * hidden);
  }
};

// Positive sizes and less than 2^48 values; anything else cannot be stored.
bool is_valid(const BoundaryShape& shape);

inline constexpr std::uint64_t boundary_alignment = 4096;  // of blocks and of the index
inline constexpr std::uint64_t index_entry_bytes = 24;
inline constexpr std::uint64_t boundary_footer_bytes = 40;

constexpr std::uint64_t frames_of(std::uint64_t values) { return (values + most_frame_values - 1) / most_frame_values; }

std::uint64_t boundary_frames(const BoundaryShape& shape);  // of the whole file
std::uint64_t encoded_block_bound(
    const BoundaryShape& shape);  // most bytes of one encoded block, zeros behind it included
std::uint64_t boundary_file_bound(const BoundaryShape& shape);  // most bytes of a file

}  // namespace strata
