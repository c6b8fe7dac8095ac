// Arithmetic on sizes, and sizes as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strata {

// nullopt on overflow of 64 bits.
std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b);
std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b);

// Smallest multiple of `alignment` that is >= value.
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// "1.50 GiB", "917 B": binary units, three significant digits.
std::string human_bytes(std::uint64_t bytes);

// "24G", "100GiB", "5GB", "512MB", "4096": K/M/G/T and KB/MB/GB/TB are decimal as Hugging Face's tools
// read them, KiB/MiB/GiB/TiB are binary. nullopt when it is not a size.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace strata
