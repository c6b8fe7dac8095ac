// XXH3-64: what a frame, an index and a journal record are checked with. Against accidents, not against an attacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace strata {

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0);

// The same over bytes that come in parts. Not thread-safe.
class RunningChecksum {
 public:
  RunningChecksum();
  ~RunningChecksum();
  RunningChecksum& add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strata
