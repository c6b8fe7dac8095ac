// The fixed parts of a boundary file as they stand in memory of little-endian machines, shared by writer and reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/boundary_file.h"

namespace strata::boundary_layout {

inline constexpr std::uint32_t version = 1;
inline constexpr char header_magic[8] = {'s', 't', 'r', 'a', 't', 'a', 'B', '\n'};
inline constexpr char footer_magic[8] = {'s', 't', 'r', 'a', 't', 'a', 'E', '\n'};

struct Header {  // zeros follow, up to boundary_alignment
  char magic[8];
  std::uint32_t version;
  std::uint8_t type;
  std::uint8_t zero[3];
  std::int64_t samples, tokens, hidden, samples_per_block;
  std::uint32_t frame_values, alignment;
  char fingerprint[32];
};
static_assert(sizeof(Header) == 88);

struct IndexEntry {
  std::uint64_t offset;
  std::uint32_t bytes;
  std::uint8_t codec;
  std::uint8_t zero[3];
  std::uint64_t hash;
};
static_assert(sizeof(IndexEntry) == index_entry_bytes);

struct Footer {
  std::uint64_t index_offset, frames, file_bytes;
  std::uint64_t hash;  // XXH3-64 of the header with its zeros, the index and the three fields above
  char magic[8];
};
static_assert(sizeof(Footer) == boundary_footer_bytes);

Header make_header(const BoundaryShape& shape, std::string_view fingerprint);
std::uint64_t guard(std::span<const std::byte> header, std::span<const std::byte> index, const Footer& footer);

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace strata::boundary_layout
