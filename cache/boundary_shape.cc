#include "cache/boundary_shape.h"

#include <algorithm>

#include "base/bytes.h"

namespace strata {
namespace {

std::uint64_t block_bound(std::uint64_t values, BoundaryType type) {
  const std::uint64_t stored = values * (type == BoundaryType::bf16 ? 2 : 4) + frames_of(values) * frame_header_bytes;
  return align_up(stored, boundary_alignment);
}

}  // namespace

std::int64_t BoundaryShape::samples_in(std::int64_t block) const {
  return std::min(samples_per_block, samples - block * samples_per_block);
}

bool is_valid(const BoundaryShape& shape) {
  constexpr std::uint64_t most = std::uint64_t{1} << 48;
  if (shape.samples < 1 || shape.tokens < 1 || shape.hidden < 1 || shape.samples_per_block < 1) return false;
  if (shape.samples_per_block > shape.samples && shape.samples_per_block >= static_cast<std::int64_t>(most))
    return false;
  const auto rows = checked_mul(static_cast<std::uint64_t>(shape.samples), static_cast<std::uint64_t>(shape.tokens));
  const auto values = rows ? checked_mul(*rows, static_cast<std::uint64_t>(shape.hidden)) : rows;
  return values && *values < most;
}

std::uint64_t boundary_frames(const BoundaryShape& shape) {
  const std::int64_t last = shape.blocks() - 1;
  return static_cast<std::uint64_t>(last) * frames_of(shape.values_in(0)) + frames_of(shape.values_in(last));
}

std::uint64_t encoded_block_bound(const BoundaryShape& shape) { return block_bound(shape.values_in(0), shape.type); }

std::uint64_t boundary_file_bound(const BoundaryShape& shape) {
  const std::int64_t last = shape.blocks() - 1;
  return boundary_alignment + static_cast<std::uint64_t>(last) * encoded_block_bound(shape) +
         block_bound(shape.values_in(last), shape.type) + boundary_frames(shape) * index_entry_bytes +
         boundary_footer_bytes;
}

}  // namespace strata
