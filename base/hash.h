// 128-bit content hashes (XXH3). For integrity and names, not against an attacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace strata {

// XXH3-64 of the bytes, another one for each seed.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

// Feeds bytes in any cut and gives the same hash. Not thread-safe.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& add(std::span<const std::byte> bytes);
  Hasher& add(std::string_view text);
  std::string hex() const;       // 32 lower-case hex digits
  std::uint64_t number() const;  // the low 64 bits

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strata
