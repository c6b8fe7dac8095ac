// What the forward shall learn of the inputs of a Linear while samples go through it.
#pragma once

#include <cstdint>

namespace strata {

enum class Collect : std::uint8_t {
  nothing = 0,
  amax = 1,     // the largest |x|
  squares = 2,  // the mean x^2 of every column
  cache = 4,    // of a key or value projection: the largest magnitude that attention would cache of it
};

constexpr Collect operator|(Collect a, Collect b) {
  return static_cast<Collect>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Collect& operator|=(Collect& a, Collect b) { return a = a | b; }
constexpr bool has(Collect all, Collect one) { return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0; }

}  // namespace strata
