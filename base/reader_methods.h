// The three readers behind make_reader, and what they share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/reader.h"

namespace strata {

std::unique_ptr<Reader> make_mmap_reader();
std::unique_ptr<Reader> make_pread_reader();
std::unique_ptr<Reader> make_direct_reader();  // Error{io} without io_uring

// The kernel reads no more than its readahead window for one POSIX_FADV_WILLNEED, often this much, and drops the rest.
inline constexpr std::uint64_t readahead_part = 128u << 10;

// The ranges, cut at multiples of `piece_bytes` of the file, without those of 0 bytes; in the order given.
std::vector<ReadRange> pieces_of(std::span<const ReadRange> ranges, std::uint64_t piece_bytes);

}  // namespace strata
