#include "base/hash.h"

#include <fmt/core.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace strata {

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

struct Hasher::State {
  XXH3_state_t xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;

Hasher& Hasher::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
  return *this;
}

Hasher& Hasher::add(std::string_view text) { return add(std::as_bytes(std::span(text))); }

std::uint64_t Hasher::number() const { return XXH3_128bits_digest(&state_->xxh).low64; }

std::string Hasher::hex() const {
  const XXH128_hash_t value = XXH3_128bits_digest(&state_->xxh);
  return fmt::format("{:016x}{:016x}", value.high64, value.low64);
}

}  // namespace strata
